import { chmod, writeFile } from 'node:fs/promises'
import { startServer, type TestServer } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'

let server: TestServer
let home: DevpiHome
beforeAll(async () => {
  server = await startServer()
  await server.signUp('hal', { dev: {} })
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(async () => {
  home = await DevpiHome.open()
})
afterEach(() => home[Symbol.asyncDispose]())

async function checks(): Promise<Record<string, { status: string; fix?: string; detail: string }>> {
  const { json } = await home.run('doctor --json')
  const found = (json as { checks: { id: string; status: string; fix?: string; detail: string }[] }).checks
  return Object.fromEntries(found.map((check) => [check.id, check]))
}

test('a doctor finds nothing wrong, and what is', async () => {
  expect((await checks())['server']).toMatchObject({ status: 'error', fix: 'devpi use URL' })
  await home.succeed(`use ${server.url}`)
  expect(await checks()).toMatchObject({ server: { status: 'ok' }, login: { status: 'warn', fix: 'devpi login USER' }, index: { status: 'warn' } })
  await home.succeed(['login', 'hal', '--password=hal secret'])
  await home.succeed('use --set-cfg dev')
  expect(await checks()).toMatchObject({ state: { status: 'ok' }, server: { status: 'ok' }, clock: { status: 'ok' }, login: { status: 'ok' }, index: { status: 'ok' }, 'config-pip': { status: 'ok' } })
  expect((await home.run('doctor')).code).toBe(0)

  await chmod(home.path('.devpi/client/auth.json'), 0o644)
  await writeFile(home.path('.pydistutils.cfg'), '[easy_install]\nindex_url = http://me:pw@elsewhere/\n')
  const wrong = await home.run('doctor')
  expect(wrong.code).toBe(1)
  expect(wrong.out.join('\n')).toMatch(/error state: others may read the logins in \S+\n {6}fix: chmod 600 /)
  expect(wrong.out.join('\n')).toContain('warn  config-easy_install: ~/.pydistutils.cfg: http://me:****@elsewhere/')
})
