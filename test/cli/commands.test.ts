import { readFile, writeFile } from 'node:fs/promises'
import { sdist, wheel } from '#test/support/archives.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { uploadForm } from '#test/support/upload-form.js'
import { DevpiHome } from './run-devpi.js'

/** Commands against a real server; the lines are those of the reference client unless they are meant to differ. */
let server: TestServer
let root: string
let home: DevpiHome

beforeAll(async () => {
  server = await startServer()
  root = `${server.url}/`
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(async () => {
  home = await DevpiHome.open()
})
afterEach(() => home[Symbol.asyncDispose]())

/** A user of that name with an index `dev`, logged in and using it. */
async function begin(user: string): Promise<void> {
  await home.succeed(`use ${server.url}`)
  await home.succeed(`user -c ${user} password=123`)
  await home.succeed(`login ${user} --password=123`)
  await home.succeed('index -c dev bases=')
  await home.succeed('use dev')
}

const CONFIG_LINES = [
  '~/.pydistutils.cfg     : no config file exists',
  '~/.config/pip/pip.conf : no config file exists',
  '~/.buildout/default.cfg: no config file exists',
  '~/.config/uv/uv.toml   : no config file exists',
  'always-set-cfg: no',
]

test('the first steps, as the quickstart takes them', async () => {
  expect(await home.succeed('use')).toEqual(["no server: type 'devpi use URL' with a URL pointing to a server or directly to an index.", ...CONFIG_LINES])
  expect(await home.succeed(`use ${server.url}`)).toEqual([
    `using server: ${root} (not logged in)`,
    "no current index: type 'devpi use -l' to discover indices",
    ...CONFIG_LINES,
  ])
  expect(await home.succeed('user -c first password=')).toEqual(['user created: first'])
  expect(await home.succeed('login first --password=')).toEqual(["logged in 'first', credentials valid for 10.00 hours"])
  expect(await home.succeed('index -c dev')).toEqual([
    `${root}first/dev:`,
    '  type=stage',
    '  bases=root/pypi',
    '  volatile=True',
    '  acl_upload=first',
    '  acl_toxresult_upload=:ANONYMOUS:',
    '  mirror_whitelist=',
    '  mirror_whitelist_inheritance=intersection',
  ])
  expect(await home.succeed('use dev')).toEqual([
    `current devpi index: ${root}first/dev (logged in as first)`,
    'supported features: push-no-docs, push-only-docs, push-register-project, server-keyvalue-parsing',
    ...CONFIG_LINES,
  ])
  expect(await home.succeed('use --urls')).toEqual([
    `current devpi index: ${root}first/dev (logged in as first)`,
    `              login: ${root}+login`,
    `         pypisubmit: ${root}first/dev/`,
    `        simpleindex: ${root}first/dev/+simple/`,
    'supported features: push-no-docs, push-only-docs, push-register-project, server-keyvalue-parsing',
    ...CONFIG_LINES,
  ])
  const listed = await home.succeed('use -l')
  expect(listed).toContain('first/dev       bases=root/pypi       volatile=True')
  expect(listed).toContain('root/pypi       bases=                volatile=False')
  expect(await home.succeed('use -l -u first')).toEqual(['first/dev       bases=root/pypi       volatile=True'])
  expect(await home.succeed('login first --password=')).toEqual([`logged in 'first' at '${root}first/dev', credentials valid for 10.00 hours`])
  expect((await home.run('use --json')).json).toMatchObject({ root, index: `${root}first/dev`, user: 'first', loggedIn: true, alwaysSetCfg: false, venv: null })
})

test.each<[string, number, string[]]>([
  ['list', 1, ["not connected to a server, see 'devpi use'", 'select one with `devpi use URL`']],
  ['login ada --password=x', 1, ["not connected to a server, see 'devpi use'", 'select one with `devpi use URL`']],
  ['index', 1, ["not connected to a server, see 'devpi use'", 'select one with `devpi use URL`']],
  ['use -l', 1, ['not connected to any server', 'select one with `devpi use URL`']],
  ['use bo/dev', 1, ['invalid URL: bo/dev/', 'select a server first: `devpi use http://HOST:PORT`']],
  ['use http://h:1802:31/x', 1, ['invalid URL: http://h:1802:31/x']],
  ['use http://ada@localhost/', 1, ['When using basic auth, you have to provide username and password.']],
  ['use --delete', 1, ['NO configuration found']],
  ['use --local', 1, ['Using --local is only valid in an active virtualenv.']],
  ['getjson /x', 1, ['no server currently selected', 'select one with `devpi use URL`']],
  ['list kite==', 1, ["'kite==' is no requirement such as name, name==1.0 or name>=1,<2"]],
  ['user -c --delete x', 2, []],
  ['index -c -l x', 2, []],
  ['remove', 2, []],
  ['remove a b', 2, []],
  ['list --timeout=soon', 2, ["devpi: error: argument --timeout: 'soon' is no number of seconds"]],
])('without a server: %s', async (line, code, err) => {
  const ran = await home.run(line)
  expect(ran.code).toBe(code)
  if (err.length > 0) expect(ran.err).toEqual(err)
  if (code === 2) expect(ran.err[0]).toMatch(/^devpi: error: /)
})

test('a server that is not there, and one that is another', async () => {
  await using other = await startOther()
  const gone = await home.run('use http://127.0.0.1:1/')
  expect(gone.code).toBe(1)
  expect(gone.err[0]).toBe("could not connect to 'http://127.0.0.1:1/+api':")
  expect(gone.err.at(-1)).toBe('nothing listens on 127.0.0.1:1: start the server, or select another with `devpi use URL`')

  const wrong = await home.run(`use ${other.url}`)
  expect(wrong.code).toBe(1)
  expect(wrong.err).toEqual([`${other.url}/+api answers, but is no devpi server`, 'check the address: `devpi use URL` takes that of a server or of an index'])
  expect((await home.run(`use ${other.url} --json`)).json).toMatchObject({ error: { code: 'API_VERSION' } })
})

test('passwords that are wrong, missing, typed and read', async () => {
  await begin('pat')
  const wrong = await home.run('login pat --password=bad')
  expect(wrong).toMatchObject({ code: 1, err: [`POST ${root}+login`, "401 Unauthorized: user 'pat' could not be authenticated"] })
  expect((await home.run('login pat')).err[0]).toBe('a password is needed')
  expect((await home.run('login pat --password-stdin', { input: '123\n' })).code).toBe(0)
  expect((await home.run('login pat', { input: '123\n', interactive: true })).code).toBe(0)
  expect((await home.run('login pat', { env: { DEVPI_PASSWORD: '123' } })).code).toBe(0)
  expect((await home.run('passwd', { input: 'new secret\nnew secret\n', interactive: true })).out).toEqual(['/pat changing password: ********', 'user modified: pat'])
  expect((await home.run('use')).out[0]).toContain('logged in as pat') // the new login came with the answer
  expect((await home.run('login pat --password=123')).code).toBe(1)

  const mismatch = await home.run('user -c nobody', { input: 'a1234567\nb\na1234567\nb\na1234567\nb\n', interactive: true })
  expect(mismatch.code).toBe(1)
  expect(mismatch.err.filter((line) => line.includes('passwords did not match'))).toHaveLength(3)
  expect((await server.fetch('/nobody', { headers: { Accept: 'application/json' } })).status).toBe(404)
})

test('users', async () => {
  await begin('una')
  expect(await home.run('user -c una password=1')).toMatchObject({ code: 1, err: [`PUT ${root}una`, '409 Conflict: user already exists'] })
  expect(await home.succeed('user -l')).toContain('una')
  expect(await home.succeed('user -m una email=u@example.com title=Una')).toEqual(['/una changing email: u@example.com', '/una changing title: Una', 'user modified: una'])
  const shown = await home.succeed('user')
  expect(shown[0]).toBe(`${root}una:`)
  expect(shown.slice(1).map((line) => line.split('=')[0])).toEqual(['  created', '  email', '  modified', '  title'])
  expect(await home.run('user -m una nonsense')).toMatchObject({ code: 2 })
  expect(await home.run('user -c a/b password=1')).toMatchObject({ code: 1 })
  expect(await home.run('user -c')).toMatchObject({ code: 1, err: ['need to specify a username'] })
  expect(await home.run('user --delete una', { input: 'maybe\nno\n', interactive: true })).toMatchObject({ code: 0, out: [`About to remove: ${root}una`] })
  expect(await home.run('user --delete una')).toMatchObject({ code: 1 })
  const removed = await home.run('user -y --delete una')
  expect(removed).toMatchObject({ code: 0, out: [`About to remove: ${root}una`, 'user deleted: una'], err: ['Are you sure (yes/no)? yes (autoset from -y option)'] })
  expect(await home.run('-y user --delete root')).toMatchObject({ code: 1 })
})

test('a login that the server has ended is told of and forgotten', async () => {
  await begin('eve')
  const user = await server.root()
  await user.patch('/eve', { password: 'other' })
  const refused = await home.run('index eve/dev volatile=False')
  expect(refused.code).toBe(1)
  expect(refused.err.slice(-3)).toEqual(['removed expired authentication information', "login of 'eve' expired", 'log in again with `devpi login eve`'])
  expect(await home.run('index eve/dev volatile=False --json')).toMatchObject({ json: { error: { code: 'NOT_LOGGED_IN' } } })
  expect(await home.run('user')).toMatchObject({ code: 1, err: ['no user specified and no user currently active'] })
  expect(await home.run('logoff')).toMatchObject({ code: 0, err: ['not logged in'] })
})

test('indexes', async () => {
  await begin('ivy')
  expect(await home.run('index -c dev')).toMatchObject({ code: 1, err: [`PUT ${root}ivy/dev`, "409 Conflict: index 'ivy/dev' exists"] })
  expect(await home.run('index -c bad bases=no/such')).toMatchObject({ code: 1, err: [`PUT ${root}ivy/bad`, "400 Bad Request: base index 'no/such' does not exist"] })
  const named = await home.succeed(['index', 'ivy/dev', 'title=Dev index'])
  expect(named.slice(0, 2)).toEqual(['/ivy/dev title=Dev index', `${root}ivy/dev:`])
  expect(named).toContain('  title=Dev index')
  expect(await home.succeed('index acl_upload+=bob')).toContain('  acl_upload=ivy,bob')
  expect(await home.succeed('index acl_upload-=bob')).toContain('  acl_upload=ivy')
  expect(await home.run('index acl_upload-=nobody')).toMatchObject({ code: 1, err: [`PATCH ${root}ivy/dev`, "400 Bad Request: The 'acl_upload' setting doesn't have value 'nobody'"] })
  expect(await home.succeed('index title-=')).not.toContain('  title=Dev index')
  expect(await home.run('index nope/nope')).toMatchObject({ code: 1, err: [`GET ${root}nope/nope?no_projects=`, '404 Not Found: The stage nope/nope could not be found.'] })
  expect(await home.succeed('index -c prod volatile=False bases=ivy/dev')).toContain('  bases=ivy/dev')
  expect(await home.succeed('index -l')).toEqual(['ivy/dev', 'ivy/prod'])
  expect(await home.run('index --delete prod volatile=True')).toMatchObject({ code: 1, err: ['cannot delete if you specify key=values'] })
  expect(await home.run('index --delete')).toMatchObject({ code: 1, err: ['need to explicitly specify index for deletion'] })
  expect(await home.run('index -y --delete prod')).toMatchObject({ code: 1 })
  await home.succeed('index prod volatile=True')
  expect(await home.succeed('index -y --delete prod')).toEqual([`About to remove: ${root}ivy/prod`, `index deleted: ${root}ivy/prod`])
  expect((await home.run('index --json')).json).toMatchObject({ url: `${root}ivy/dev`, changes: [], result: { type: 'stage', projects: [] } })
  await home.succeed('logoff')
  expect(await home.run('index -c other')).toMatchObject({ code: 1, err: ["no current authenticated user: you need to be logged in (use 'devpi login USER')"] })
  await server.root().then((admin) => admin.patch('/ivy/dev', ['acl_read=ivy']))
  expect((await home.run('index ivy/dev')).err.at(-1)).toBe('log in with `devpi login USER`')
  expect(await home.run('index ivy/dev volatile=False')).toMatchObject({ code: 1, err: ["you need to be logged in (use 'devpi login USER')"] })
})

test('documents', async () => {
  await begin('joe')
  expect(await home.succeed('getjson /joe/dev?no_projects=')).toContain('    "type": "indexconfig"')
  expect((await home.succeed('getjson -v /joe/dev')).slice(0, 1)).toEqual([`GET REQUEST sent to ${root}joe/dev`])
  expect(await home.run('getjson nope')).toMatchObject({ code: 1, err: [`GET ${root}joe/dev/nope`, expect.stringMatching(/^404 Not Found/)] })
  await writeFile(home.path('change.json'), '["volatile=False"]')
  expect((await home.succeed('patchjson /joe/dev change.json'))[0]).toBe(`PATCH REQUEST sent to ${root}joe/dev`)
  expect(await home.succeed('index')).toContain('  volatile=False')
  expect((await home.run('patchjson /joe/dev -', { input: '["volatile=True"]' })).code).toBe(0)
  expect(await home.run('patchjson /joe/dev missing.json')).toMatchObject({ code: 1, err: ['cannot read missing.json: ENOENT'] })
  expect(await home.run('patchjson /joe/dev -', { input: 'x' })).toMatchObject({ code: 1, err: ['standard input holds no JSON object or list'] })
})

test('projects are listed and removed', async () => {
  await begin('lea')
  const token = (JSON.parse(await readFile(home.path('.devpi/client/auth.json'), 'utf8')) as { auth: Record<string, [[string, string]]> }).auth[root]?.[0][1] ?? ''
  const auth = { 'X-Devpi-Auth': Buffer.from(`lea:${token}`).toString('base64') }
  for (const [index, file] of [['dev', sdist('kite', '1.0')], ['dev', wheel('kite', '1.0')], ['dev', wheel('kite', '1.1')], ['dev', wheel('other', '2.0')]] as const) {
    const reply = await server.fetch(`/lea/${index}/`, { method: 'POST', headers: auth, body: uploadForm(file) })
    expect(reply.status).toBe(200)
  }
  expect(await home.succeed('list')).toEqual(['kite', 'other'])
  expect(await home.succeed('list -v')).toEqual(['kite==1.1', 'other==2.0'])
  expect(await home.succeed('list -v --all')).toEqual(['kite==1.0', 'kite==1.1', 'other==2.0'])
  expect((await home.succeed('list kite')).map((line) => line.replace(/\/\+f\/...\/.{13}\//, '/+f/…/'))).toEqual([
    `${root}lea/dev/+f/…/kite-1.1-py3-none-any.whl`,
    `${root}lea/dev/+f/…/kite-1.0-py3-none-any.whl`,
    `${root}lea/dev/+f/…/kite-1.0.tar.gz`,
  ])
  expect((await home.succeed('list kite<1.1')).length).toBe(2)
  expect(await home.succeed('list kite --limit=1')).toEqual([expect.stringContaining('1.1'), '1 older versions not shown, use --all to see'])
  expect(await home.run('list nope')).toMatchObject({ code: 1, err: [`GET ${root}lea/dev/nope/`, "404 Not Found: no project 'nope'"] })

  await home.succeed('index -c prod bases=lea/dev')
  expect((await home.run('list kite --index prod --json')).json).toMatchObject({ files: [{ origin: 'inherited' }, { origin: 'inherited' }, { origin: 'inherited' }], hidden: 0 })
  expect(await home.run('remove -y kite --index prod')).toMatchObject({ code: 1 })
  expect(await home.run('remove kite<1.1', { input: 'n\n', interactive: true })).toMatchObject({ code: 0, err: expect.arrayContaining([expect.stringContaining('not deleting anything')]) })
  expect(await home.run('remove -y kite==9')).toMatchObject({ code: 1, err: ["No releases or distributions found matching 'kite==9'."] })

  const removed = await home.succeed('remove -y kite<1.1')
  expect(removed[0]).toBe('About to remove the following releases and distributions')
  expect(removed[1]).toBe('version: 1.0')
  expect(removed.at(-1)).toBe('deleting release 1.0 of kite')
  expect(removed).toHaveLength(5)
  const [url = ''] = await home.succeed('list kite')
  expect(await home.succeed(['remove', '-y', url])).toEqual(['About to remove the following file:', url, `deleted ${url}`])
  await home.succeed('index volatile=False')
  expect(await home.run('remove -y other')).toMatchObject({ code: 1, err: expect.arrayContaining([`DELETE ${root}lea/dev/other/`]) })
  expect((await home.succeed('remove -y -f other')).at(-1)).toBe('deleting release 2.0 of other')
  expect(await home.run('remove -y http://elsewhere.example/x')).toMatchObject({ code: 1 })
})

test('another index is chosen for one command', async () => {
  await begin('max')
  await home.succeed('index -c prod bases=')
  expect((await home.run('list --index prod --json')).json).toMatchObject({ index: `${root}max/prod` })
  expect(await home.run('list --index max/nope')).toMatchObject({ code: 1, err: [`GET ${root}max/nope/+api`, '404 Not Found: The stage max/nope could not be found.'] })
  expect(await home.run('list --index a/b/c')).toMatchObject({ code: 1, err: ["index 'a/b/c' not of form USER/NAME or NAME"] })
  const env = { DEVPI_INDEX: 'max/prod' }
  const ran = await home.run('list --json', { env })
  expect(ran).toMatchObject({ err: ['Using DEVPI_INDEX from environment: max/prod'], json: { index: `${root}max/prod` } })
  expect((await home.run('list --json', { env: { DEVPI_INDEX: 'prod' } })).json).toMatchObject({ index: `${root}max/prod` })
  expect((await home.run('list --index dev --json', { env })).json).toMatchObject({ index: `${root}max/dev` })
  expect((await home.run('list --json', { env: { DEVPI_INDEX: `${root}max/prod` } })).json).toMatchObject({ index: `${root}max/prod` })
  expect((await home.run('use max/dev', { env })).err).toEqual(['Using index URL from command line instead of DEVPI_INDEX (max/prod) from environment.'])
  expect((await home.succeed('use'))[0]).toContain('max/dev')
  await home.succeed('use --delete')
  expect(await home.run('list', { env })).toMatchObject({ code: 1, err: ['No server set and DEVPI_INDEX from environment is not a full valid URL: max/prod'] })
  expect(await home.run('list --index x', { env })).toMatchObject({
    code: 1,
    err: ['No server set and neither the --index URL (x) nor the DEVPI_INDEX from environment (max/prod) is a full valid URL.'],
  })
})

test('the environment logs in without a login', async () => {
  await begin('tom')
  await home.succeed('logoff')
  expect((await home.run('index tom/dev title=x', { env: { DEVPI_USER: 'tom', DEVPI_PASSWORD: '123' } })).code).toBe(0)
  const refused = await home.run('index tom/dev title=x', { env: { DEVPI_USER: 'tom', DEVPI_PASSWORD: 'bad' } })
  expect(refused.code).toBe(1)
  expect([...refused.out, ...refused.err].join()).not.toContain('bad:')
})

test('as a process: versions, help, wrong usage and a closed pipe', async () => {
  expect(await home.spawn('--version')).toMatchObject({ code: 0, out: [expect.stringMatching(/^devpi \d+\.\d+\.\d+$/)] })
  expect(await home.spawn('--debug --version')).toMatchObject({ code: 0, out: [expect.stringMatching(/^devpi-client \d+\.\d+/)] })
  await home.succeed(`use ${server.url}`)
  expect((await home.succeed('version')).slice(1)).toEqual(['', `current devpi server: ${root}`, expect.stringMatching(/^ {4}devpi-server /)])
  expect(await home.succeed('version --short')).toEqual([expect.stringMatching(/^\d+\.\d+\.\d+$/)])
  expect((await home.spawn('')).out.join('\n')).toContain('USAGE')
  expect(await home.spawn('nope')).toMatchObject({ code: 2, out: ['usage: devpi COMMAND [options]', 'see `devpi -h` for all commands'], err: ["devpi: error: there is no command 'nope'"] })
  expect((await home.spawn('list')).code).toBe(1)
})

interface Other extends AsyncDisposable {
  readonly url: string
}

/** A web server that has nothing to do with packages. */
async function startOther(): Promise<Other> {
  const { createServer } = await import('node:http')
  const other = createServer((_req, res) => res.end('<html>hello</html>'))
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const address = other.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      other.closeAllConnections()
      await new Promise((resolve) => other.close(resolve))
    },
  }
}
