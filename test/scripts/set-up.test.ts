import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const REPOSITORY = join(import.meta.dirname, '../../..')

/** Stands for npm: writes down how it was called and "installs" a compiler that writes down that it ran. */
const FAKE_NPM = `
  import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
  appendFileSync('calls', process.argv.slice(2, 3) + '\\n')
  if (process.env.FAIL) process.exit(7)
  for (const folder of ['typescript-native/bin', 'jest/bin']) mkdirSync('node_modules/' + folder, { recursive: true })
  writeFileSync('node_modules/jest/bin/jest.js', '')
  writeFileSync('node_modules/typescript-native/bin/tsc', \`
    const fs = require('node:fs')
    fs.appendFileSync('calls', 'build\\\\n')
    fs.mkdirSync('dist/server/bin', { recursive: true })
    fs.writeFileSync('dist/server/bin/serve.js', 'export async function main(args) { console.log("serving", ...args); return 3 }')
    process.exit(fs.existsSync('server/broken.ts') ? 2 : 0)
  \`)
`

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'set-up-'))
  for (const name of ['scripts', 'server/bin']) await cp(join(REPOSITORY, name), join(root, name), { recursive: true })
  await writeFile(join(root, 'package.json'), '{"type": "module", "bin": {"devpi-server": "server/bin/devpi-server.js"}}')
  await writeFile(join(root, 'package-lock.json'), '{}')
  await mkdir(join(root, 'fake'))
  await writeFile(join(root, 'fake/npm-cli.js'), FAKE_NPM)
})
afterEach(() => rm(root, { recursive: true, force: true }))

test('a fresh clone is installed, built and started; the second start does neither', async () => {
  expect(await start('--port', '1')).toMatchObject({ code: 3, stdout: 'serving --port 1\n' })
  expect(await calls()).toEqual(['ci', 'build'])
  expect(await start()).toMatchObject({ code: 3, stderr: '' })
  expect(await calls()).toEqual(['ci', 'build'])
})

test('a changed source is built, a changed lock file installed', async () => {
  await start()
  await writeFile(join(root, 'server/new.ts'), '')
  await start()
  expect(await calls()).toEqual(['ci', 'build', 'build'])
  await writeFile(join(root, 'package-lock.json'), '{"lockfileVersion": 3}')
  await start()
  expect(await calls()).toEqual(['ci', 'build', 'build', 'ci', 'build'])
})

test('the commands of the checkout are linked', async () => {
  await start()
  expect(await runNode('node_modules/.bin/devpi-server', ['--port', '2'])).toMatchObject({ code: 3, stdout: 'serving --port 2\n' })
})

test('a failed install says what to do', async () => {
  const { code, stderr } = await start({ FAIL: '1' })
  expect(code).toBe(1)
  expect(stderr).toContain('npm ci failed')
  expect(stderr).toContain('try again')
})

test('a failed build leaves the last good one, and is tried again', async () => {
  await start()
  const good = await readFile(join(root, 'dist/.set-up-stamp'), 'utf8')
  await writeFile(join(root, 'server/broken.ts'), '')
  expect(await start()).toMatchObject({ code: 1, stderr: expect.stringContaining('the build failed') })
  expect(await readFile(join(root, 'dist/.set-up-stamp'), 'utf8')).toBe(good)
  await rm(join(root, 'server/broken.ts'))
  expect(await start()).toMatchObject({ code: 3, stderr: '' })
})

test('two at once set up once', async () => {
  const both = await Promise.all([start(), start()])
  expect(both.map(({ code }) => code)).toEqual([3, 3])
  expect(await calls()).toEqual(['ci', 'build'])
})

test('the lock of a killed set-up is taken over', async () => {
  const lock = join(root, '.set-up.lock')
  await writeFile(lock, '')
  await utimes(lock, new Date(0), new Date(0))
  expect(await start()).toMatchObject({ code: 3 })
})

test('a command without a build says so', async () => {
  const { code, stderr } = await runNode('server/bin/devpi-server.js', [])
  expect(code).toBe(1)
  expect(stderr).toContain('nothing is built yet')
})

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function start(...args: (string | Record<string, string>)[]): Promise<Ended> {
  const words = args.filter((arg) => typeof arg === 'string')
  const env = Object.assign({}, ...args.filter((arg) => typeof arg !== 'string')) as Record<string, string>
  return runNode('scripts/start.js', words, env)
}

function runNode(script: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], {
      cwd: root,
      env: { PATH: process.env['PATH'], npm_execpath: join(root, 'fake/npm-cli.js'), ...env },
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (data) => (stdout += String(data)))
    child.stderr.on('data', (data) => (stderr += String(data)))
    child.once('error', reject)
    child.once('close', (code) => { resolve({ code, stdout, stderr }) })
  })
}

async function calls(): Promise<string[]> {
  return (await readFile(join(root, 'calls'), 'utf8')).trim().split('\n')
}
