import { readFile, utimes } from 'node:fs/promises'
import { type Ended, FakeCheckout } from './fake-checkout.js'

const COMPILE = `
  fs.mkdirSync('dist/server/bin', { recursive: true })
  fs.writeFileSync('dist/server/bin/serve.js', 'export async function main(args) { console.log("serving", ...args); return 3 }')
  process.exit(fs.existsSync('server/broken.ts') ? 2 : 0)
`

let checkout: FakeCheckout
beforeEach(async () => {
  checkout = await FakeCheckout.create(COMPILE)
})
afterEach(() => checkout[Symbol.asyncDispose]())

test('a fresh clone is installed, built and started; the second start does neither', async () => {
  expect(await start('--port', '1')).toMatchObject({ code: 3, stdout: 'serving --port 1\n' })
  expect(await checkout.calls()).toEqual(['ci', 'build'])
  expect(await start()).toMatchObject({ code: 3, stderr: '' })
  expect(await checkout.calls()).toEqual(['ci', 'build'])
})

test('a changed source is built, a changed lock file installed', async () => {
  await start()
  await checkout.write('server/new.ts', '')
  await start()
  expect(await checkout.calls()).toEqual(['ci', 'build', 'build'])
  await checkout.write('package-lock.json', '{"lockfileVersion": 3}')
  await start()
  expect(await checkout.calls()).toEqual(['ci', 'build', 'build', 'ci', 'build'])
})

test('the commands of the checkout are linked', async () => {
  await start()
  expect(await checkout.run('node_modules/.bin/devpi-server', ['--port', '2'])).toMatchObject({ code: 3, stdout: 'serving --port 2\n' })
})

test('a failed install says what to do', async () => {
  const { code, stderr } = await start({ FAIL: '1' })
  expect(code).toBe(1)
  expect(stderr).toContain('npm ci failed')
  expect(stderr).toContain('try again')
})

test('a failed build leaves the last good one, and is tried again', async () => {
  await start()
  const good = await readFile(checkout.path('dist/.set-up-stamp'), 'utf8')
  await checkout.write('server/broken.ts', '')
  expect(await start()).toMatchObject({ code: 1, stderr: expect.stringContaining('the build failed') })
  expect(await readFile(checkout.path('dist/.set-up-stamp'), 'utf8')).toBe(good)
  await checkout.remove('server/broken.ts')
  expect(await start()).toMatchObject({ code: 3, stderr: '' })
})

test('two at once set up once', async () => {
  const both = await Promise.all([start(), start()])
  expect(both.map(({ code }) => code)).toEqual([3, 3])
  expect(await checkout.calls()).toEqual(['ci', 'build'])
})

test('the lock of a killed set-up is taken over', async () => {
  const lock = checkout.path('.set-up.lock')
  await checkout.write('.set-up.lock', '')
  await utimes(lock, new Date(0), new Date(0))
  expect(await start()).toMatchObject({ code: 3 })
})

test('a command without a build says so', async () => {
  const { code, stderr } = await checkout.run('server/bin/devpi-server.js', [])
  expect(code).toBe(1)
  expect(stderr).toContain('nothing is built yet')
})

function start(...args: (string | Record<string, string>)[]): Promise<Ended> {
  const words = args.filter((arg) => typeof arg === 'string')
  const env = Object.assign({}, ...args.filter((arg) => typeof arg !== 'string')) as Record<string, string>
  return checkout.run('scripts/start.js', words, env)
}
