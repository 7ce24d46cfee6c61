// What a script of package.json has to know about the npm that runs it.

const PARENT_CHECK_MS = 500

/**
 * npm runs a script through a shell. A SIGTERM for npm ends npm and the shell, which passes nothing on: that our parent
 * changed is all we get to see of it. Sends this process a SIGTERM then, if it is the npm script of that name.
 */
export function stopWithParent(script) {
  if (process.env.npm_lifecycle_event !== script) return
  const parent = process.ppid
  const check = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(check)
    process.kill(process.pid, 'SIGTERM')
  }, PARENT_CHECK_MS)
  check.unref()
}
