import { mkdir, writeFile } from 'node:fs/promises'
import { startServer, type TestServer } from '#test/support/server.js'
import { DevpiHome, type Ran } from './run-devpi.js'

/** What is selected, by whom and from where: names of indexes, users who take turns, and the environment. */
let server: TestServer
let root: string
let home: DevpiHome

beforeAll(async () => {
  server = await startServer()
  root = `${server.url}/`
  await server.signUp('ada', { dev: {}, prod: {} })
  await server.signUp('bo', { dev: { acl_read: ['bo'] } })
  home = await DevpiHome.open()
  for (const line of [`use ${server.url}`, ['login', 'bo', '--password=bo secret'], ['login', 'ada', '--password=ada secret']]) await home.succeed(line)
})
afterAll(async () => {
  await home[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await home.succeed('use -u ada ada/dev')
})

const indexOf = ({ json }: Ran): unknown => (json as { index: unknown }).index

test.each<[string, string]>([
  ['prod', 'ada/prod'],
  ['ada/prod', 'ada/prod'],
  ['/ada/prod', 'ada/prod'],
  ['ada/prod/', 'ada/prod'],
  ['ROOTada/prod', 'ada/prod'],
  ['ROOTada/prod/', 'ada/prod'],
])('an index named %s', async (name, wanted) => {
  const typed = name.replace('ROOT', root)
  expect(indexOf(await home.run(`list --index ${typed} --json`))).toBe(root + wanted)
  expect(indexOf(await home.run(`use ${typed} --json`))).toBe(root + wanted)
})

test('the page of a user is a server without an index', async () => {
  expect((await home.succeed(`use ${root}ada`)).slice(0, 2)).toEqual([`using server: ${root} (logged in as ada)`, "no current index: type 'devpi use -l' to discover indices"])
  expect(await home.run('list')).toMatchObject({ code: 1, err: ["not connected to an index, see 'devpi use'", 'select one with `devpi use USER/NAME`; `devpi use -l` lists them'] })
  expect(await home.run('getjson x')).toMatchObject({ code: 1, err: [expect.stringContaining('cannot use relative path without an active index')] })
})

test('looking at another index keeps the selection', async () => {
  expect((await home.succeed('use --urls ada/prod'))[2]).toBe(`         pypisubmit: ${root}ada/prod/`)
  expect(await home.succeed(`use -l ${root}`)).toContain('ada/prod        bases=                volatile=True')
  expect((await home.succeed('use'))[0]).toContain('ada/dev')
})

test('users take turns, and the name goes with its login', async () => {
  expect((await home.succeed('use -u bo'))[0]).toBe(`current devpi index: ${root}ada/dev (logged in as bo)`)
  expect(indexOf(await home.run('list --index dev --json'))).toBe(`${root}bo/dev`)
  expect(await home.run('use -u nobody')).toMatchObject({ code: 0, err: ["user 'nobody' is not logged in, log in with `devpi login nobody`"] })
  expect((await home.succeed('use'))[0]).toContain('logged in as bo')
  expect((await home.run('index bo/dev', { env: { DEVPI_USER: 'ada' } })).code).toBe(1)
  expect(await home.succeed(['index', 'bo/dev', 'title=x'], { env: { DEVPI_USER: 'bo' } })).toContain('  title=x')
})

test('an index that is closed or gone is told of', async () => {
  expect(await home.run('use bo/dev')).toMatchObject({ code: 1, err: [`GET ${root}bo/dev/+api`, expect.stringMatching(/^40[34] /)] })
  const admin = await server.root()
  await admin.put('/root/brief', {})
  await home.succeed('use root/brief')
  await admin.delete('/root/brief')
  for (const line of ['use', 'list']) expect(await home.run(line)).toMatchObject({ code: 1, err: [expect.stringContaining(`GET ${root}root/brief`), '404 Not Found: The stage root/brief could not be found.'] })
})

test('the environment names the state, the index, the time and the form of the output', async () => {
  const elsewhere = { DEVPI_CLIENTDIR: home.path('elsewhere') }
  expect((await home.run('use', { env: elsewhere })).out[0]).toMatch(/^no server: /)
  expect((await home.run(`--clientdir ${home.path('third')} use`)).out[0]).toMatch(/^no server: /)
  expect((await home.run('use', { env: { DEVPI_JSON: '1' } })).json).toMatchObject({ user: 'ada' })
  expect((await home.run('list', { env: { DEVPI_TIMEOUT: 'x' } })).err[0]).toContain("'x' is no number of seconds")
  expect((await home.run('list', { env: { DEVPI_INDEX: 'prod', DEVPI_JSON: '1' } })).json).toMatchObject({ index: `${root}ada/prod` })
  expect((await home.run('index -y --delete nope', { env: { CI: '1' } })).code).toBe(1)
  expect(await home.run('index --delete prod', { env: { CI: '1' }, interactive: true, input: 'yes\n' })).toMatchObject({ code: 1, err: ['refusing without -y', 'nobody can be asked here: add -y to go on'] })
  expect((await home.run('quickstart --dry-run', { env: { USER: 'zed' } })).err.join('\n')).toContain('devpi user -c zed ')
})

test('files of pip and uv lie where the environment says', async () => {
  const env = { PIP_CONFIG_FILE: home.path('my-pip.conf'), UV_CONFIG_FILE: home.path('my-uv.toml') }
  await home.succeed('use --set-cfg', { env })
  expect(await home.succeed('use', { env })).toEqual(expect.arrayContaining([`~/my-pip.conf          : ${root}ada/dev/+simple/`, `~/my-uv.toml           : ${root}ada/dev/+simple/`]))
  expect((await home.succeed('use', { env: { XDG_CONFIG_HOME: home.path('xdg') } })).join('\n')).toContain('~/xdg/uv/uv.toml')
  await mkdir(home.path('.pip'), { recursive: true })
  await writeFile(home.path('.pip/pip.conf'), '[global]\nindex-url = https://me:pw@old.example/simple\n')
  expect(await home.succeed('use')).toContain('~/.pip/pip.conf        : https://me:****@old.example/simple')
})

test('where every use writes them, a change of the index does', async () => {
  await home.succeed('use --always-set-cfg yes')
  await home.succeed('use ada/prod')
  expect((await home.succeed('use --always-set-cfg no')).filter((line) => line.includes('uv.toml'))).toEqual([`~/.config/uv/uv.toml   : ${root}ada/prod/+simple/`])
  await home.succeed('use ada/dev')
  expect((await home.succeed('use')).filter((line) => line.includes('uv.toml'))).toEqual([`~/.config/uv/uv.toml   : ${root}ada/prod/+simple/`])
})

test('logins are dropped one by one, or all', async () => {
  await using other = await DevpiHome.open()
  for (const line of [`use ${server.url}`, ['login', 'bo', '--password=bo secret'], ['login', 'ada', '--password=ada secret']]) await other.succeed(line)
  const head = server.head()
  expect(await other.succeed('logout')).toEqual(['login information deleted'])
  expect((await other.succeed('use'))[0]).toContain('(not logged in)')
  expect((await other.run('passwd')).err[0]).toBe('no user specified and no user currently active')
  expect((await other.succeed('use -u bo'))[0]).toContain('logged in as bo')
  await other.succeed('logoff --all')
  expect(await other.run('logoff')).toMatchObject({ code: 0, err: ['not logged in'] })
  expect(server.head()).toBe(head) // the server is not told
})

test('users are changed with and without -m, arguments in any order, and weak passwords asked about', async () => {
  expect(await home.succeed('user ada email=a@example.com')).toEqual(['/ada changing email: a@example.com', 'user modified: ada'])
  expect(await home.succeed('user ada -m title=x')).toEqual(['/ada changing title: x', 'user modified: ada'])
  expect(await home.succeed('index ada/dev --no-projects')).toContain('  type=stage')
  const weak = (input: string, name: string): Promise<Ran> => home.run(`user -c ${name}`, { interactive: true, input })
  expect(await weak('\n\nno\nshort\nshort\nyes\n', 'cy')).toMatchObject({ code: 0, out: ['user created: cy'] })
  expect((await home.run('-y user -c di', { interactive: true, input: 'short\nshort\n' })).code).toBe(0)
  expect(await home.succeed('index -l root')).toEqual(['root/pypi'])
  for (const line of ['index -l a/b', 'user -c a/b password=1', 'user --delete a/b']) {
    expect(await home.run(line)).toMatchObject({ code: 1, err: ['user name contains a slash'] })
  }
  expect((await home.run('index nonsense=')).code).toBe(1)
})
