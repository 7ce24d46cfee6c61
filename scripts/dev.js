// `npm run dev`: serves, and when a source changes builds and serves anew. While the sources do not compile, the server of
// the last good build goes on. Options go to the server.
import { watchChanges } from './dev-changes.js'
import { DevServer } from './dev-server.js'
import { stopWithParent } from './parent.js'
import { asCommand, currentBuild, installPackages, ROOT, say, setUp, SetUpFailure, SOURCES } from './set-up.js'

/** Exit codes of a server that was called wrongly, which no change of a source mends. */
const WRONG_USAGE = [2, 4]
/** A terminal and npm may both pass on the same Ctrl-C. */
const SAME_SIGNAL_MS = 500
const NEVER = new Promise(() => undefined)

await asCommand(async () => {
  stopWithParent('dev')
  const stop = untilSignal()
  await installPackages()
  const changes = await watchChanges(ROOT, SOURCES)
  const server = new DevServer(process.argv.slice(2))
  try {
    return await serveAnew(server, changes, stop)
  } finally {
    await server.stop()
    await changes.close()
  }
})

/** Resolves to an exit code, with the server possibly still running. */
async function serveAnew(server, changes, stop) {
  let ended = NEVER
  while (!stop.asked) {
    changes.forget()
    const built = await tryBuild(server, stop)
    if (stop.asked) break
    if (built && server.build !== currentBuild()) {
      await server.stop()
      ended = server.start(currentBuild())
    }
    const code = await Promise.race([ended, changes.settled(), stop.happened])
    if (code === undefined) continue
    if (WRONG_USAGE.includes(code)) return code
    say(`the server ended with ${code}; it starts again when a source changes`)
    ended = NEVER
    await Promise.race([changes.settled(), stop.happened])
  }
  return 0
}

async function tryBuild(server, stop) {
  try {
    await setUp({ tests: true })
    return true
  } catch (error) {
    if (stop.asked) return false // the signal ended the compiler too
    say(error instanceof SetUpFailure ? error.message : error.stack)
    say(server.build === undefined ? 'no server runs until then' : 'the server of the last good build goes on')
    return false
  }
}

/** A second signal ends this process at once; the server then ends by itself. */
function untilSignal() {
  const stop = { asked: false }
  stop.happened = new Promise((resolve) => {
    let firstAt
    const take = () => {
      if (stop.asked && performance.now() - firstAt > SAME_SIGNAL_MS) process.exit(1)
      firstAt ??= performance.now()
      stop.asked = true
      resolve()
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, take)
  })
  return stop
}
