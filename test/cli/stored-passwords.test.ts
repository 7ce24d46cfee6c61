import { writeFile } from 'node:fs/promises'
import { startServer, type TestServer } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'
import { callsOf, standIn } from './stand-in.js'

let server: TestServer
let home: DevpiHome
beforeAll(async () => {
  server = await startServer()
  await server.signUp('ada', {})
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(async () => {
  home = await DevpiHome.open()
  await home.succeed(`use ${server.url}`)
})
afterEach(() => home[Symbol.asyncDispose]())

test('a password is taken out of the keyring, by the address of the server, and shown nowhere', async () => {
  const env = await standIn(home, 'keyring', `echo 'a warning' >&2; [ "$*" = '-- get ${server.url}/ ada' ] && echo 'ada secret'`)
  const ran = await home.run('login ada --debug', { env })
  expect(ran.code).toBe(0)
  expect(ran.out).toEqual([expect.stringMatching(/^logged in 'ada'/)])
  expect([...ran.out, ...ran.err].join('\n')).not.toMatch(/ada secret|a warning/)
  await home.run(['login', 'ada', '--password=ada secret'], { env })
  await home.run('login ada', { env: { ...env, DEVPI_PASSWORD: 'ada secret' } })
  expect(await callsOf(home, 'keyring')).toHaveLength(1)
})

test.each([
  ['has none', 'exit 1'],
  ['has an empty one', 'exit 0'],
  ['fails with something on its output', "echo 'ada secret'; exit 2"],
])('a keyring that %s is passed over, for .netrc and then a question', async (_what, script) => {
  const env = await standIn(home, 'keyring', script)
  expect((await home.run('login ada', { env })).err[0]).toBe('a password is needed')
  await writeFile(home.path('.netrc'), `machine ${new URL(server.url).hostname} login ada password "ada secret"`, { mode: 0o600 })
  expect(await home.run('login ada', { env })).toMatchObject({ code: 0, err: [] })
})

test('an interruption ends a keyring that waits', async () => {
  const stop = new AbortController()
  const env = await standIn(home, 'keyring', 'exec sleep 60')
  const login = home.run('login ada --debug', { env, interrupted: stop.signal })
  await home.until('asking ')
  stop.abort()
  expect(await login).toMatchObject({ code: 130, err: expect.arrayContaining(['interrupted']) })
})

test('that of another server is looked for by its address', async () => {
  const env = await standIn(home, 'keyring', 'exit 1')
  await writeFile(home.path('.pypirc'), '[a]\nrepository: http://127.0.0.1:1/up/\nusername = me\n')
  await home.run(['login', 'ada', '--password=ada secret'], { env })
  await home.succeed('index -c dev bases=')
  await home.run('push --index dev kite==1.0 pypi:a', { env })
  expect((await callsOf(home, 'keyring')).map(({ args }) => args)).toEqual(['-- get http://127.0.0.1:1/up/ me'])
})
