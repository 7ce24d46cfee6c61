import { execFileSync } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { sdist, wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { DevpiHome, type Ran } from './run-devpi.js'
import { type Call, callsOf, standIn } from './stand-in.js'

/** `devpi test` with a tox that only writes the report it is told to. */
let server: TestServer
let ada: TestUser
let root: string
let home: DevpiHome
let env: NodeJS.ProcessEnv

const REPORT = JSON.stringify({
  reportversion: '1',
  toxversion: '4.0',
  platform: 'linux',
  host: 'lab7',
  testenvs: { py311: { python: { version: '3.11.9' }, setup: [{ command: ['pip'], retcode: 0, output: '' }], test: [{ command: ['pytest', '-q'], retcode: 0, output: 'see $PIP_INDEX_URL' }] } },
})
/** Leaves the report where it was asked to. */
const TOX = `
echo "tox runs in $(pwd)"
for word in "$@"; do [ "$before" = --result-json ] && out=$word; before=$word; done
[ -n "$REPORT" ] && printf '%s' "$REPORT" | sed "s|.PIP_INDEX_URL|$PIP_INDEX_URL|" > "$out"
exit \${TOX_EXIT:-0}`
const INI = { extra: { 'tox.ini': Buffer.from('[tox]\n') } }

beforeAll(async () => {
  server = await startServer()
  root = `${server.url}/`
  ada = await server.signUp('ada', { dev: { volatile: true }, empty: {} })
  for (const file of [sdist('kite', '0.9', INI), sdist('kite', '1.0', INI), wheel('kite', '1.0'), wheel('kite', '1.0', { tag: 'cp311-cp311-linux_x86_64' }), sdist('kite', '1.1rc1', INI), sdist('plain', '1.0'), wheel('onlywheel', '1.0')]) {
    expect((await ada.upload('dev', file)).status).toBe(200)
  }
  home = await DevpiHome.open()
  for (const line of [`use ${server.url}`, ['login', 'ada', '--password=ada secret'], 'use ada/dev']) await home.succeed(line)
})
afterAll(async () => {
  await home[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})
beforeEach(async () => {
  env = { ...(await standIn(home, 'tox', TOX)), REPORT }
})

const devpi = (line: string | readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ran> => home.run(line, { env: { ...env, ...more } })
const calls = (): Promise<Call[]> => callsOf(home, 'tox')
const wordsOf = (call: Call | undefined): string => (call?.args ?? '').replace(/\S*\/devpi-test[^/ ]*/g, 'TMP')

test('the newest version is tested, its sdist first, with the index and a login in the environment, and the report is posted without that', async () => {
  const ran = await devpi('test kite<1.1')
  expect([ran.code, ran.err]).toEqual([0, expect.arrayContaining([expect.stringMatching(/^only universal wheels supported, found kite-1.0-cp311/)])])
  const [first, second, ...others] = await calls()
  expect(others).toEqual([])
  expect(wordsOf(first)).toBe('--installpkg TMP/downloads/kite-1.0.tar.gz --recreate --result-json TMP/targz/toxreport.json -c TMP/targz/kite-1.0/tox.ini')
  expect(wordsOf(second)).toMatch(/^--installpkg TMP\/downloads\/kite-1.0-py3-none-any.whl --recreate --result-json TMP\/\S+ -c TMP\/targz\/kite-1.0\/tox.ini$/)
  expect(first?.variables).toEqual(expect.arrayContaining([expect.stringMatching(/^PIP_INDEX_URL=http:\/\/ada:[^@]+@[^/]+\/ada\/dev\/\+simple\/$/), expect.stringMatching(/^UV_DEFAULT_INDEX=http:\/\/ada:/)]))
  expect(ran.out).toContain('tox runs in ' + (/unpacking \S+ to (\S+)/.exec(ran.out.join('\n'))?.[1] ?? '') + '/kite-1.0')
  expect(ran.out.filter((line) => line === 'successfully posted tox result data')).toHaveLength(2)
  expect(ran.out.filter((line) => /^posting tox result data to \S+\/kite-1.0/.test(line))).toHaveLength(2)

  expect((await home.succeed('list kite==1.0')).filter((line) => !line.startsWith('http'))).toEqual(Array.from({ length: 2 }, () => 'lab7       linux   py311      3.11.9 tests passed'))
  const { json } = await devpi('getjson /ada/dev/kite/1.0')
  const reports = (json as { result: { '+links': { rel: string; href: string }[] } }).result['+links'].filter(({ rel }) => rel === 'toxresult')
  const text = await (await server.fetch(new URL(reports[0]?.href ?? '').pathname)).text()
  expect(text).toContain('see http://ada:****@')
  expect(await readdir(tmpdir())).toEqual(expect.not.arrayContaining([/unpacking \S*\/(devpi-test[^/]*)/.exec(ran.out.join('\n'))?.[1]]))
})

test.each<[string, string]>([
  ['test kite', 'kite-1.1rc1.tar.gz --recreate'], // pre-releases too
  ['test kite==0.9', 'kite-0.9.tar.gz --recreate'],
  ['test -e py39 kite==0.9', ' -epy39 -c '],
  ['test -c mine.ini kite==0.9', '-c HOME/mine.ini'],
  ['test --fallback-ini mine.ini plain', '-c HOME/mine.ini'],
  ['test --fallback-ini mine.ini kite==0.9', '/targz/kite-0.9/tox.ini'], // the package has its own
  ['test --toxargs=-v kite==0.9', '/tox.ini -v'],
  ['test -d kite==0.9', '/tox.ini -p auto'],
  ['test -j 3 kite==0.9', '/tox.ini -p 3'],
  ['test -s cp311 kite==1.0', 'kite-1.0-cp311-cp311-linux_x86_64.whl --recreate'],
])('%s', async (line, wanted) => {
  await writeFile(home.path('mine.ini'), '[tox]\n')
  expect(await devpi(`${line} --no-upload`)).toMatchObject({ code: 0 })
  const made = (await calls()).map(({ args }) => args.replaceAll(home.folder, 'HOME'))
  expect(made).toEqual([expect.stringContaining(wanted)])
})

test('settings of tox in other files', async () => {
  const files: readonly (readonly [string, Record<string, Buffer>, string])[] = [
    ['inproject', { 'pyproject.toml': Buffer.from('[tool.tox]\n') }, 'pyproject.toml'],
    ['incfg', { 'pyproject.toml': Buffer.from('[project]\n'), 'setup.cfg': Buffer.from('[tox:tox]\n') }, 'setup.cfg'],
  ]
  for (const [name, extra] of files) expect((await ada.upload('dev', sdist(name, '1.0', { extra }))).status).toBe(200)
  expect((await devpi('test --no-upload inproject incfg')).code).toBe(0)
  expect((await calls()).map(({ args }) => args.replace(/.*\//, ''))).toEqual(files.map(([, , file]) => file))
})

test.each<[string | readonly string[], NodeJS.ProcessEnv, string]>([
  ['test kite==0.9', { REPORT: '' }, 'tox ended with 0 and left no report'],
  ['test kite==0.9 -e nope', { REPORT: '', TOX_EXIT: '1' }, 'tox ended with 1 and left no report'],
  ['test kite==0.9', { REPORT: 'no JSON' }, 'tox ended with 0 and left no report'],
  ['test kite==0.9 --no-upload', { TOX_EXIT: '1' }, 'tox command failed 1'],
  ['test kite==0.9', { TOX_EXIT: '2' }, 'tox command failed 2'],
  ['test kite==0.9', { PATH: '/nowhere' }, 'no tox binary found'],
  ['test plain', {}, 'no tox.ini/pyproject.toml/setup.cfg file found in '],
  ['test -c missing.ini kite==0.9', {}, 'file does not exist: HOME/missing.ini'],
  ['test -c . kite==0.9', {}, 'is not a file: HOME'],
  ['test --fallback-ini missing.ini plain', {}, 'file does not exist: '],
  ['test onlywheel', {}, 'need at least one sdist distribution'],
  ['test --index ada/empty kite', {}, 'could not find/receive links for kite'],
  ['test -j 0 kite', {}, "devpi: error: argument --jobs: '0' is no number from 1 to 64"],
  [['test', '--tox-args="', 'kite'], {}, 'devpi: error: argument --tox-args: no closing quote in "'],
])('%s with %j fails', async (line, more, wanted) => {
  const head = server.head()
  const ran = await devpi(line, more)
  expect(ran.code).toBe(wanted.startsWith('devpi: error') ? 2 : 1)
  expect(ran.err.map((text) => text.replaceAll(home.folder, 'HOME')).join('\n')).toContain(wanted)
  expect(server.head()).toBe(head) // nothing was posted
})

test('of several releases each is tested, whatever becomes of the others', async () => {
  const ran = await devpi('test plain kite==0.9 nope kite==1.0 --no-upload --json')
  expect(ran.code).toBe(1)
  expect(ran.json).toMatchObject({
    ok: false,
    runs: [{ toxExit: 0, reportPosted: false, envs: [{ env: 'py311', test: 'passed' }] }, { toxExit: 0 }, { toxExit: 0 }],
    failed: [{ spec: 'plain', code: 'TEST_FAILED' }, { spec: 'nope', code: 'NOT_FOUND' }],
    error: { code: 'TEST_FAILED', message: 'not tested: plain, nope' },
  })
  expect(await calls()).toHaveLength(3)
})

test('with --jobs releases are tested at the same time, and what their tox prints is shown when it has ended', async () => {
  execFileSync('mkfifo', [home.path('rendezvous')])
  // The first waits for the second at the pipe, and the second for the first: one after the other they would wait for ever.
  const meeting = `case "$*" in *kite-0.9*) echo go > '${home.path('rendezvous')}';; *) read word < '${home.path('rendezvous')}';; esac\necho "$1 $2" | sed 's|/.*/||'; echo end`
  await standIn(home, 'tox', `${meeting}\n${TOX}`)
  const ran = await devpi('test -j 2 kite==0.9 kite==1.1rc1 --no-upload')
  expect(ran.code).toBe(0)
  const lines = ran.err.filter((line) => line.startsWith('--installpkg') || line === 'end')
  expect(lines.filter((_line, at) => at % 2 === 1)).toEqual(['end', 'end'])
  expect((await calls()).map(({ args }) => args.includes('-p '))).toEqual([false, false])
})

test('a download draws a bar in a terminal', async () => {
  expect((await ada.upload('dev', sdist('bulky', '1.0', { ...INI, padding: 400_000 }))).status).toBe(200)
  const { code, err } = await home.run('test -j 2 --no-upload bulky kite==0.9', { env, columns: 80 })
  expect(code).toBe(0)
  expect(err.join('\n')).toMatch(/\r\u001b\[K\[[#.]{20}\] \d+% of 0\.4 MB, /)
})

test('a report that is refused is told of; another index is named by its URL', async () => {
  await home.succeed('index -c closed bases=ada/dev acl_toxresult_upload=nobody')
  const refused = await devpi('test --index closed kite==0.9')
  // The file lies on the base, which takes reports.
  expect(refused.code).toBe(0)
  await ada.upload('closed', sdist('mine', '1.0', INI))
  const own = await devpi('test --index closed mine')
  expect(own.code).toBe(1)
  expect(own.err.join('\n')).toMatch(/POST http\S+\/ada\/closed\/\+f\/\S+mine-1.0.tar.gz\n403 Forbidden: /)
  expect(await devpi(`test --index ${root}ada/dev --list kite==0.9`)).toMatchObject({ code: 0, out: [expect.stringMatching(/^using workdir /), 'would test:', expect.stringMatching(/^ {3}http\S+kite-0.9.tar.gz$/)] })
})
