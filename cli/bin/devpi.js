#!/usr/bin/env node
// Answers `--version` at once, and hands everything else over to the bundled program. Plain JavaScript that an old Node
// can still read.
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const OLDEST_NODE = [20, 19]
const args = process.argv.slice(2)
const entry = new URL('../../dist/bundle/main.js', import.meta.url)
const [major, minor] = process.versions.node.split('.').map(Number)

if (args.length === 1 && args[0] === '--version') {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  process.stdout.write(`devpi ${version}\n`)
} else if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
  fail(`Node ${OLDEST_NODE.join('.')} or newer is needed, this is ${process.versions.node}; install a newer Node`)
} else if (!existsSync(fileURLToPath(entry))) {
  fail(`nothing is built yet; run \`npm run build\` in ${fileURLToPath(new URL('../..', import.meta.url))}`)
} else {
  process.env.NODE_ENV ??= 'production'
  const { runProcess } = await import(entry.href)
  process.exitCode = await runProcess(args)
}

function fail(sentence) {
  process.stderr.write(`devpi: ${sentence}\n`)
  process.exitCode = 1
}
