import { mkdir, writeFile } from 'node:fs/promises'
import { startServer, type TestServer } from '#test/support/server.js'
import { TestUpstream } from '#test/support/upstream.js'
import { DevpiHome, type Ran } from './run-devpi.js'
import { callsOf, standIn } from './stand-in.js'

/** What `install` and `refresh` ask for, with a pip that does nothing. */
let server: TestServer
let simple: string
let home: DevpiHome
let env: NodeJS.ProcessEnv

beforeAll(async () => {
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] } })
  simple = `${server.url}/ada/dev/+simple/`
  await server.signUp('ada', { dev: {}, other: {} })
  home = await DevpiHome.open()
  for (const line of [`use ${server.url}`, ['login', 'ada', '--password=ada secret'], 'use ada/dev']) await home.succeed(line)
  await mkdir(home.path('env/bin'), { recursive: true })
  await writeFile(home.path('reqs.txt'), 'kite\n')
})
afterAll(async () => {
  await home[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await standIn(home, 'uv', 'exit 0')
  env = { ...(await standIn(home, 'pip', 'echo pip at work; exit ${ENDS_WITH:-0}')), PIP_CONFIG_FILE: undefined }
})

const devpi = (line: string, more: NodeJS.ProcessEnv = {}): Promise<Ran> => home.run(line, { env: { ...env, ...more } })

const masked = (text: string): string => text.replace(/:[^:@/]+@/, ':****@')

test.each<[string, string]>([
  ['install kite bird==1.0', 'install -U kite bird==1.0'],
  ['install -r reqs.txt', 'install -U --requirement reqs.txt'],
  ['install -e .', 'install -U --editable .'],
  ['install -l', 'list'],
  ['install', '--version'],
])('%s', async (line, args) => {
  expect(await devpi(line)).toMatchObject({ code: 0, out: expect.arrayContaining(['pip at work']) })
  expect((await callsOf(home, 'pip')).map((call) => call.args)).toEqual([args])
})

test('pip gets the index, with a login, and pre-releases; what is printed shows no secret', async () => {
  const ran = await devpi('install kite', { PYTHONDONTWRITEBYTECODE: '1' })
  expect((await callsOf(home, 'pip'))[0]?.variables.map(masked)).toEqual([`PIP_INDEX_URL=${simple.replace('http://', 'http://ada:****@')}`, 'PIP_PRE=1', 'PIP_USE_WHEEL=1'])
  expect(ran.err).toEqual([`-->  ${home.folder}$ ${home.path('stand-ins/pip')} install -U kite  [PIP_INDEX_URL=${simple.replace('http://', 'http://****:****@')},PIP_PRE=1,PIP_USE_WHEEL=1]`])
  await devpi('install kite --index other --no-pre')
  expect((await callsOf(home, 'pip'))[1]?.variables).toEqual([expect.stringContaining('/ada/other/+simple/'), 'PIP_USE_WHEEL=1'])
})

test('the exit code is that of pip; with --json pip is heard on the other stream', async () => {
  expect(await devpi('install kite', { ENDS_WITH: '7' })).toMatchObject({ code: 7, err: expect.arrayContaining(['command failed']) })
  expect(await devpi('install kite --json')).toMatchObject({ code: 0, json: { pip: home.path('stand-ins/pip'), args: ['install', '-U', 'kite'], exitCode: 0 }, err: expect.arrayContaining(['pip at work']) })
})

test('uv gets the index in its own variables', async () => {
  expect(await devpi('install --uv kite')).toMatchObject({ code: 0 })
  expect(await callsOf(home, 'uv')).toEqual([{ args: 'pip install -U kite', variables: [expect.stringContaining('UV_DEFAULT_INDEX=http://ada:'), 'UV_PRERELEASE=allow'] }])
})

test('of environments the named one wins, then the active one, then the remembered one, and a named one is not remembered', async () => {
  for (const name of ['named', 'active', 'kept']) await mkdir(home.path(name, 'bin'), { recursive: true })
  await home.succeed('use --venv kept')
  const listed = async (line: string, more: NodeJS.ProcessEnv = {}): Promise<string | undefined> => (await devpi(line, more)).out.find((text) => text.startsWith('list of installed'))
  expect(await listed('install -l --venv named', { VIRTUAL_ENV: home.path('active') })).toBe(`list of installed packages on ${home.path('named')}`)
  expect(await listed('install -l', { VIRTUAL_ENV: home.path('active') })).toBe(`list of installed packages on ${home.path('active')}`)
  expect(await listed('install -l')).toBe(`list of installed packages on ${home.path('kept')}`)
  expect(await listed('install -l --venv named', { WORKON_HOME: home.path('elsewhere') })).toBe(`list of installed packages on ${home.path('named')}`)
  await mkdir(home.path('homes/far/bin'), { recursive: true })
  expect(await listed('install -l --venv far', { WORKON_HOME: home.path('homes') })).toBe(`list of installed packages on ${home.path('homes/far')}`)
  await home.succeed('use --venv -')
  expect(await listed('install -l')).toBe('list of installed packages on None')
})

test.each<[string, NodeJS.ProcessEnv, readonly string[]]>([
  ['install kite', { PATH: '/nowhere' }, ['no pip binary found']],
  ['install --uv kite', { PATH: '/nowhere' }, ['no uv binary found']],
  ['install kite', { VIRTUAL_ENV: '/nowhere' }, ["No virtualenv found at: '/nowhere'", 'check VIRTUAL_ENV in your environment']],
  ['install -e . kite', {}, ['cannot specify packagespecs and --editable']],
])('%s with %j fails', async (line, more, err) => {
  expect(await devpi(line, more)).toMatchObject({ code: 1, err })
})

test('a mirror asks its upstream again, and one name that it does not have is told of', async () => {
  await using upstream = await TestUpstream.start()
  upstream.project('kite', [])
  await home.succeed(`index -c mirror type=mirror mirror_url=${upstream.url}`)
  expect((await server.fetch('/ada/mirror/+simple/kite/')).status).toBe(200)
  const before = upstream.count('/simple/kite/')
  expect(await devpi('refresh kite --index mirror')).toMatchObject({ code: 0, out: ['Refreshed kite'], err: [] })
  expect(upstream.count('/simple/kite/')).toBe(before + 1)
  expect(await devpi('refresh kite --json')).toMatchObject({ code: 1, json: { projects: [{ name: 'kite', ok: false }] } })
})
