import { lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { splitWords } from '#cli/tox.js'
import { readToxReport, verdictLine, verdictsOf } from '#cli/tox-report.js'
import { unpack } from '#cli/unpack.js'
import { sdist, wheel } from '#test/support/archives.js'
import { testWith } from '#test/support/real-clients.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { tarGz } from '#test/support/tar-builder.js'
import { zip } from '#test/support/zip-builder.js'
import { DevpiHome } from './run-devpi.js'

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

async function begin(user: string): Promise<void> {
  for (const line of [`use ${server.url}`, `user -c ${user} password=123`, `login ${user} --password=123`, 'index -c dev bases=', 'use dev']) await home.succeed(line)
  await put({ 'kite-1.0.tar.gz': sdist('kite', '1.0', { extra: { 'tox.ini': TOX_INI } }).bytes, 'kite-1.0-py3-none-any.whl': wheel('kite', '1.0').bytes })
  await home.succeed('upload kite-1.0.tar.gz kite-1.0-py3-none-any.whl')
}

const TOX_INI = Buffer.from('[tox]\nenvlist = py3\n[testenv]\nskip_install = true\ncommands = python -c "print(1)"\n')

async function put(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(home.path(name)), { recursive: true })
    await writeFile(home.path(name), content)
  }
}

test('a release is pushed, once more, and not without files', async () => {
  await begin('amy')
  await home.succeed('index -c prod bases= volatile=False')
  const pushed = await home.succeed('push kite==1.0 amy/prod')
  expect(pushed[0]).toBe('   200 register kite 1.0 -> amy/prod')
  expect(pushed.slice(1).map((line) => line.replace(/\/\+f\/...\/.{13}\//, '/+f/…/'))).toEqual([
    '   200 store_releasefile amy/prod/+f/…/kite-1.0-py3-none-any.whl',
    '   200 store_releasefile amy/prod/+f/…/kite-1.0.tar.gz',
  ])
  expect(await home.run('push kite-1.0 amy/prod --json')).toMatchObject({ code: 0, json: { ok: true, actions: expect.arrayContaining([{ status: 200, action: 'register', args: ['kite', '1.0', '->', 'amy/prod'] }]) } })
  const head = server.head()
  expect(await home.succeed('push --dry-run kite==1.0 amy/prod')).toContain('skipped: push of kite-1.0.tar.gz to amy/prod')
  expect(server.head()).toBe(head)
  expect(await home.run('push nope==1.0 amy/prod')).toMatchObject({ code: 1, err: [`POST ${root}amy/dev`, '400 Bad Request: there are no files for nope 1.0 on stage amy/dev'] })
  expect(await home.run('push kite==1.0 amy/nope')).toMatchObject({ code: 1, err: [`POST ${root}amy/dev`, '404 Not Found: The stage amy/nope could not be found.'] })
})

test.each([
  ['push kite==1.0 pypi:testrun', expect.stringMatching(/^no pypirc file found at: .*\/\.pypirc$/)],
  ['push kite==1.0 nowhere', "target 'nowhere' not of form USER/NAME or pypi:REPONAME"],
  ['push kite==1.0 a/b/c', "target 'a/b/c' not of form USER/NAME or pypi:REPONAME"],
  ['push kite a/b', 'The release specification needs to be of this form: name==version'],
  ['push kite=1.0 a/b', 'The release specification needs to be of this form: name==version'],
  ['push --no-docs --only-docs kite==1.0 a/b', "Can't use '--no-docs' and '--only-docs' together."],
  ['test nope', `GET ROOTzoe/dev/nope/`],
  ['test kite==9', 'could not find/receive links for kite==9'],
  ['test kite -s nothing', 'no file of kite 1.0 matches nothing'],
  ['test', 'devpi: error: the following arguments are required: pkgspec'],
  ['test kite -s (', "devpi: error: argument --select: '(' is no regular expression"],
  ['install --venv nowhere kite', expect.stringMatching(/^No virtualenv found at: /)],
  ['install -e . kite', 'cannot specify packagespecs and --editable'],
  ['refresh', 'devpi: error: the following arguments are required: pkg'],
  ['refresh nope', expect.stringMatching(/^Couldn't refresh nope via \S+: 404 /)],
])('%s fails', async (line, message: unknown) => {
  if ((await home.run('use')).out[0]?.startsWith('no server') === true) {
    await home.succeed(`use ${server.url}`)
    if ((await home.run('user zoe')).code !== 0) await begin('zoe')
    else for (const step of ['login zoe --password=123', 'use zoe/dev']) await home.succeed(step)
  }
  const ran = await home.run(line)
  expect(ran.code).toBe(String(message).startsWith('devpi: error') ? 2 : 1)
  expect(ran.err.map((text) => text.replace(root, 'ROOT'))).toContainEqual(message)
})

test('sections of a pypirc', async () => {
  await begin('bea')
  await put({ '.pypirc': '[distutils]\nindex-servers = a\n[a]\nrepository: http://127.0.0.1:1/\n# comment\nusername = me\npassword = pw\n[b]\nrepository = x\n' })
  const refused = await home.run('push kite==1.0 pypi:a')
  expect(refused.code).toBe(1)
  expect(refused.out).toEqual([`using pypirc ${home.path('.pypirc')}`])
  expect([...refused.out, ...refused.err].join('\n')).not.toContain('pw')
  expect((await home.run('push kite==1.0 pypi:b')).err).toEqual(["Error while trying to read section 'b': username is missing"])
  expect((await home.run('push kite==1.0 pypi:c')).err).toEqual(["Error while trying to read section 'c': there is no such section"])
})

testWith(['tox'])('a release is tested, and list shows how it went', async () => {
  await begin('cat')
  const ran = await home.run('test kite -s tar', { env: { PATH: `/usr/bin:/bin:${process.env['PATH'] ?? ''}` } })
  expect(ran.err.join('\n')).toMatch(/--> {2}\S+\/targz\/kite-1.0\$ \S*tox --installpkg \S+\/downloads\/kite-1.0.tar.gz --recreate --result-json \S+\/targz\/toxreport.json -c \S+\/targz\/kite-1.0\/tox.ini {2}\[PIP_INDEX_URL=http:\/\/\*\*\*\*:\*\*\*\*@/)
  expect(ran).toMatchObject({ code: 0 })
  expect(ran.out).toContain('successfully posted tox result data')
  expect(ran.out.join('\n')).toMatch(/received http\S+kite-1.0.tar.gz\nunpacking \S+\/downloads\/kite-1.0.tar.gz to \S+\/targz\n/)
  const listed = await home.succeed('list kite')
  expect(listed.at(-1)).toMatch(/^\S+ +linux +py3 +3\.\d+\.\S+ tests passed$/)
  expect(await home.succeed('list kite --no-toxresults')).toHaveLength(2)

  const failing = await home.run(['test', 'kite', '-s', 'tar', '--tox-args=-v', '-e', 'nope'], { env: { PATH: `/usr/bin:/bin:${process.env['PATH'] ?? ''}` } })
  expect(failing.code).toBe(1)
  expect(await home.succeed('test --list kite')).toEqual([expect.stringMatching(/^using workdir /), 'would test:', expect.stringMatching(/^ {3}http.*kite-1.0.tar.gz$/), expect.stringMatching(/^ {3}http.*whl$/)])
})

testWith(['venv', 'ensurepip'])('pip installs, with its own exit code', async () => {
  await begin('dan')
  const { execFileSync } = await import('node:child_process')
  execFileSync('/usr/bin/python3', ['-m', 'venv', home.path('env')])
  const env = { PIP_NO_CACHE_DIR: '1', PIP_DISABLE_PIP_VERSION_CHECK: '1' }
  const ran = await home.run('install --venv env kite', { env })
  expect(ran.err.join('\n')).toContain(`-->  ${home.folder}$ ${home.path('env/bin/pip')} install -U kite  [PIP_INDEX_URL=http://****:****@`)
  expect(ran.err.join('\n')).toContain('PIP_PRE=1,PIP_USE_WHEEL=1]')
  expect(ran.code).toBe(0)
  expect(ran.out.join('\n')).toContain('Successfully installed kite-1.0')
  const missing = await home.run('install --venv env nowhere-at-all', { env: { ...env, PIP_RETRIES: '0' } })
  expect(missing.code).toBe(1)
  expect(missing.err.at(-1)).toBe('command failed')
  expect((await home.succeed('install --venv env -l', { env })).join('\n')).toMatch(/list of installed packages on \S+env\n[\s\S]*kite/)
})

test('links in a tar are unpacked, hard ones as copies', async () => {
  await writeFile(home.path('x.tar.gz'), tarGz([
    { name: 'x/b', type: '1', linkName: 'x/a' },
    { name: 'x/c', type: '2', linkName: 'a' },
    { name: 'x/a', bytes: Buffer.from('text') },
  ]))
  await unpack(home.path('x.tar.gz'), home.path('into'), new AbortController().signal)
  for (const name of ['a', 'b', 'c']) expect(await readFile(home.path('into/x', name), 'utf8')).toBe('text')
  expect((await lstat(home.path('into/x/c'))).isSymbolicLink()).toBe(true)
})

test.each<[string, Uint8Array]>([
  ['x.tar.gz', tarGz([{ name: 'x', type: '1', linkName: '../out' }])],
  ['x.tar.gz', tarGz([{ name: 'x', type: '1', linkName: 'y' }, { name: 'y', type: '2', linkName: 'z' }, { name: 'z', bytes: Buffer.from('x') }])],
  ['x.tar.gz', tarGz([{ name: '../out', bytes: Buffer.from('x') }])],
  ['x.tar.gz', tarGz([{ name: 'x/../../out', bytes: Buffer.from('x') }])],
  ['x.zip', zip([{ name: '../out', bytes: Buffer.from('x') }])],
  ['x.tar.gz', Buffer.from('no archive')],
  ['x.zip', Buffer.from('no archive')],
])('nothing is unpacked outside of the folder: %s', async (name, bytes) => {
  await put({ [name]: bytes })
  await expect(unpack(home.path(name), home.path('into'), new AbortController().signal)).rejects.toMatchObject({ code: 'TEST_FAILED' })
  expect((await readdir(home.folder)).sort()).toEqual(['into', name])
  expect(await readFile(home.path(name))).toEqual(Buffer.from(bytes))
})

test.each([
  ['-v -c foo.ini', ['-v', '-c', 'foo.ini']],
  [`a "b c" 'd "e' f\\ g ""`, ['a', 'b c', 'd "e', 'f g', '']],
  ['', []],
])('words of %j', (text, words) => expect(splitWords(text)).toEqual(words))

test('verdicts', () => {
  const report = (setup: object[], tests: object[]): unknown => ({ host: 'lab7', platform: 'linux', testenvs: { py311: { python: { version: '3.11.9 (main)' }, setup, test: tests } } })
  const verdicts = (found: unknown): string[] => (readToxReport(found) ?? []).flatMap((run) => verdictsOf(run).map(({ verdict }) => verdictLine(run, verdict)))
  expect(verdicts(report([{ retcode: 0 }], [{ retcode: '0' }]))).toEqual(['lab7       linux   py311      3.11.9 tests passed'])
  expect(verdicts(report([{ retcode: '1' }], []))).toEqual(['lab7       linux   py311      setup failed', 'lab7       linux   py311      no tests were run'])
  expect(verdicts(report([], [{ retcode: 1 }]))).toEqual(['lab7       linux   py311      3.11.9 no setup was performed', 'lab7       linux   py311      3.11.9 tests failed'])
  expect(readToxReport([])).toBeUndefined()
})
