// `npm start`: sets up, then serves in this very process, so that Ctrl-C and SIGTERM reach the server.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { asCommand, ROOT, setUp, SetUpFailure } from './set-up.js'

const PARENT_CHECK_MS = 500

await asCommand(async () => {
  stopWithParent()
  await setUp()
  const entry = join(ROOT, 'dist/server/bin/serve.js')
  if (!existsSync(entry)) throw new SetUpFailure('there is no server/bin/serve.ts to start')
  const { main } = await import(pathToFileURL(entry).href)
  return main(process.argv.slice(2))
})

/**
 * npm runs this through a shell. A SIGTERM for npm ends npm and the shell, which passes nothing on: that our parent
 * changed is all we get to see of it.
 */
function stopWithParent() {
  if (process.env.npm_lifecycle_event !== 'start') return
  const parent = process.ppid
  const check = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(check)
    process.kill(process.pid, 'SIGTERM')
  }, PARENT_CHECK_MS)
  check.unref()
}
