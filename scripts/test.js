// `npm test`: sets up (the build is the strict type check), then runs every test, and lints beside it.
// `npm test -- uploads` runs the test files whose name matches, without the lint.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { run } from './run.js'
import { asCommand, ROOT, say, setUp, SetUpFailure } from './set-up.js'

const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', join(ROOT, 'node_modules/jest/bin/jest.js')]
const ESLINT = [join(ROOT, 'node_modules/eslint/bin/eslint.js'), '.', '--max-warnings=0']

await asCommand(async () => {
  const args = process.argv.slice(2)
  await setUp({ tests: true })
  const linted = args.length === 0 ? lint() : Promise.resolve({ code: 0, printed: '' })
  const tested = await run(process.execPath, [...JEST, ...args], { cwd: ROOT })
  const { code, printed } = await linted
  if (code === 0) return tested
  process.stderr.write(printed)
  throw new SetUpFailure('the lint failed, see above')
})

/** On the core that the first tests leave idle; what it prints is kept until they are over. */
function lint() {
  say('linting, beside the tests')
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ESLINT, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    let printed = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (printed += chunk))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 1, printed }))
  })
}
