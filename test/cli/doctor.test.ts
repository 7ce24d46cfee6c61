import { execFileSync } from 'node:child_process'
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

test('shells complete commands, options and names', async () => {
  await home.succeed(`use ${server.url}/hal/dev`)
  expect(await home.succeed('completion names indexes')).toEqual(['hal/dev', 'root/pypi'])
  expect(await home.succeed('completion names users')).toEqual(['hal', 'root'])
  expect(await home.succeed('completion names projects')).toEqual([])
  expect(await home.run('completion names')).toMatchObject({ code: 2 })
  expect(await home.run('completion csh')).toMatchObject({ code: 2 })
  const complete = async (...words: string[]): Promise<string[]> => {
    const script = (await home.succeed('completion bash')).join('\n')
    const text = `${script}\nCOMP_WORDS=(devpi ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _devpi; printf '%s\\n' "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', text], { encoding: 'utf8' }).trim().split('\n')
  }
  expect(await complete('up')).toEqual(['upload'])
  expect(await complete('token', 're')).toEqual(['revoke'])
  expect(await complete('list', '--fail')).toEqual(['--failures'])
  expect(await complete('token', 'create', '--exp')).toEqual(['--expires'])
  expect((await home.succeed('completion zsh'))[0]).toContain('bashcompinit')
  expect((await home.succeed('completion fish')).join('\n')).toContain("complete -c devpi -n '__fish_use_subcommand' -a upload")
})
