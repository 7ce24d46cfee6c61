// `npm test`: sets up (the build is the strict type check), lints, then runs every test.
// `npm test -- uploads` runs the test files whose name matches, without the lint.
import { join } from 'node:path'
import { run } from './run.js'
import { asCommand, ROOT, say, setUp, SetUpFailure } from './set-up.js'

const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', join(ROOT, 'node_modules/jest/bin/jest.js')]
const ESLINT = [join(ROOT, 'node_modules/eslint/bin/eslint.js'), '.', '--max-warnings=0']

await asCommand(async () => {
  const args = process.argv.slice(2)
  await setUp({ tests: true })
  if (args.length === 0) await lint()
  return run(process.execPath, [...JEST, ...args], { cwd: ROOT })
})

async function lint() {
  say('linting')
  const code = await run(process.execPath, ESLINT, { cwd: ROOT })
  if (code !== 0) throw new SetUpFailure('the lint failed, see above; no test was run')
}
