// What every launcher does: say clearly what is missing, else hand over to the compiled program. Plain JavaScript that an
// old Node can still read.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const OLDEST_NODE = [20, 19]

/** Runs `dist/server/bin/{program}.js`; the number its `main` resolves to becomes the exit code. `--version` alone loads nothing. */
export async function launch(program, args = process.argv.slice(2)) {
  if (process.argv.length === 3 && process.argv[2] === '--version') {
    process.stdout.write(`${JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version}\n`)
    return
  }
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    return fail(`Node ${OLDEST_NODE.join('.')} or newer is needed, this is ${process.versions.node}; install a newer Node`)
  }
  const entry = new URL(`../../dist/server/bin/${program}.js`, import.meta.url)
  if (!existsSync(fileURLToPath(entry))) {
    return fail(`nothing is built yet; run \`npm run build\` in ${fileURLToPath(new URL('../..', import.meta.url))}`)
  }
  const { main } = await import(entry.href)
  process.exitCode = (await main(args)) ?? process.exitCode ?? 0
}

/** Old spellings of `devpi server start` and the like. */
const IN_BACKGROUND = ['start', 'stop', 'status', 'log']

/** Hands `--start`, `--stop`, `--status` and `--log` over to the command line, which keeps servers in the background. False for all else. */
export async function manageInBackground(args) {
  const action = IN_BACKGROUND.find((name) => args.includes(`--${name}`))
  const entry = new URL('../../dist/bundle/main.js', import.meta.url)
  if (action === undefined || !existsSync(fileURLToPath(entry))) return false
  process.env.NODE_ENV ??= 'production'
  const { runProcess } = await import(entry.href)
  process.exitCode = await runProcess(['server', action, ...args.filter((word) => word !== `--${action}` && word !== '--init')])
  return true
}

function fail(sentence) {
  process.stderr.write(`devpi: ${sentence}\n`)
  process.exitCode = 1
}
