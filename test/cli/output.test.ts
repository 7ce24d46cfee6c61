import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { wantsColour } from '#cli/terminal.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'

/** Streams, colour, bars and exit codes. */
let server: TestServer
let root: string
let ada: TestUser
let home: DevpiHome

beforeAll(async () => {
  server = await startServer()
  root = `${server.url}/`
  ada = await server.signUp('ada', { base: {}, dev: { bases: ['ada/base'] } })
  for (const version of ['1.0', '1.1', '1.2', '1.3']) expect((await ada.upload('dev', wheel('kite', version))).status).toBe(200)
  for (const version of ['1.3', '0.9']) expect((await ada.upload('base', wheel('kite', version))).status).toBe(200)
  home = await DevpiHome.open()
  for (const line of [`use ${server.url}`, ['login', 'ada', '--password=ada secret'], 'use ada/dev']) await home.succeed(line)
})
afterAll(async () => {
  await home[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

test.each<[NodeJS.ProcessEnv, boolean, boolean | undefined, boolean]>([
  [{}, true, undefined, true],
  [{}, false, undefined, false],
  [{ PY_COLORS: '1', NO_COLOR: '1' }, false, undefined, true],
  [{ PY_COLORS: '0', FORCE_COLOR: '1' }, true, undefined, false],
  [{ FORCE_COLOR: '1' }, false, undefined, true],
  [{ CLICOLOR_FORCE: '1' }, false, undefined, true],
  [{ FORCE_COLOR: '0' }, false, undefined, false],
  [{ NO_COLOR: '1' }, true, undefined, false],
  [{ NO_COLOR: '' }, true, undefined, true],
  [{ TERM: 'dumb' }, true, undefined, false],
  [{ PY_COLORS: '0' }, false, true, true],
  [{ PY_COLORS: '1' }, true, false, false],
])('with %j, terminal %j, asked for %j: colour %j', (env, isTerminal, chosen, wanted) => {
  expect(wantsColour(env, isTerminal, chosen)).toBe(wanted)
})

const [BOLD, RED, YELLOW, END] = ['\u001b[1m', '\u001b[31m', '\u001b[33m\u001b[1m', '\u001b[0m']

test('own files are bold, inherited ones plain and hidden ones red; an error is red, a warning yellow', async () => {
  const terminal = { columns: 80, env: { TERM: 'xterm' } }
  const styles = (await home.succeed('list kite --all', terminal)).map((line) => [/^(?:\u001b\[\d+m)*/.exec(line)?.[0], /(base|dev)\/\+f\/.*kite-([\d.]+)-/.exec(line)?.slice(1, 3).join(' ')])
  expect(styles).toEqual([[BOLD, 'dev 1.3'], [RED, 'base 1.3'], [BOLD, 'dev 1.2'], [BOLD, 'dev 1.1'], [BOLD, 'dev 1.0'], ['', 'base 0.9']])
  expect((await home.run('index nope/nope', terminal)).err).toEqual([`${RED}GET ${root}nope/nope?no_projects=`, `404 Not Found: The stage nope/nope could not be found.${END}`])
  expect((await home.run('upload --formats bdist_egg', terminal)).err[0]).toBe(`${YELLOW}The --formats option is deprecated, use --sdist and --wheel.${END}`)
  expect((await home.succeed('list --no-color', terminal))[0]).toBe('kite')
  expect((await home.succeed('list --color'))[0]).toBe(`${BOLD}kite${END}`)
})

test('three groups are listed unless more are asked for; bases can be passed over', async () => {
  expect((await home.succeed('list kite')).at(-1)).toBe('3 older versions not shown, use --all to see')
  expect(await home.succeed('list kite --all --ignore-bases')).toEqual(['1.3', '1.2', '1.1', '1.0'].map((version) => expect.stringMatching(new RegExp(`^${root}ada/dev/\\+f/\\w+/\\w+/kite-${version}-py3-none-any.whl$`))))
})

test('what the commands of failed tests printed', async () => {
  const file = (await home.succeed('list kite==1.0'))[0] ?? ''
  const step = (command: string, retcode: number, output: string): object => ({ command: [command], retcode, output })
  const report = { host: 'lab7', platform: 'linux', testenvs: { py311: { python: { version: '3.11.9' }, setup: [step('make', 0, '')], test: [step('first', 0, ''), step('second', 1, 'line one\nline two\n'), step('third', 1, 'not shown')] } } }
  expect((await ada.post(new URL(file).pathname, report)).status).toBe(200)
  expect((await home.succeed('list kite==1.0')).slice(1)).toEqual(['lab7       linux   py311      3.11.9 tests failed'])
  expect((await home.succeed('list kite==1.0 -f')).slice(1)).toEqual(['lab7       linux   py311      3.11.9 tests failed', '    OK:  first', '    FAIL: second', '    line one', '    line two'])
  expect((await home.succeed('list kite==1.0 --no-toxresults')).slice(1)).toEqual([])
})

test('a bar is drawn in a terminal of any width, and nowhere else', async () => {
  const { filename, bytes } = wheel('big', '1.0', { padding: 400_000 })
  await writeFile(home.path(filename), bytes)
  const drawn = async (columns: number | undefined, env: NodeJS.ProcessEnv = {}, ...words: string[]): Promise<string[]> => {
    const { code, err } = await home.run(['upload', filename, ...words], { ...(columns !== undefined && { columns }), env })
    expect(code).toBe(0)
    return err.join('\n').split(/\r\u001b\[K/).filter((text) => text.startsWith('['))
  }
  const bars = await drawn(40)
  expect(bars.length).toBeGreaterThan(0)
  expect(Math.max(...bars.map((bar) => bar.length))).toBeLessThan(40)
  for (const bar of bars) expect(bar).toMatch(/^\[[#.]{20}\] \d+% of 0\.4 MB$/)
  for (const bar of await drawn(80)) expect(bar).toMatch(/^\[[#.]{20}\] \d+% of 0\.4 MB, \d+\.\d MB\/s, \d+ s left$/)
  for (const env of [{ CI: '1' }, { DEVPI_NO_PROGRESS: '1' }]) expect(await drawn(80, env)).toEqual([])
  expect(await drawn(80, {}, '--no-progress')).toEqual([])
  expect(await drawn(80, {}, '--json')).toEqual([])
  expect(await drawn(undefined)).toEqual([])
})

test('a password that is not typed to its end ends its line, and nothing is done', async () => {
  expect((await home.run('login ada', { interactive: true, input: '' })).err).toEqual([`password for user ada at ${root}: `, 'no answer, nothing was done'])
})

test('help of all commands, and of one', async () => {
  const all = await home.run('-h')
  expect([all.code, all.err]).toEqual([0, []])
  const listed = all.out.slice(all.out.indexOf('COMMANDS') + 1).flatMap((line) => /^ {2}(\w+) /.exec(line)?.[1] ?? [])
  const known = ['use', 'getjson', 'patchjson', 'list', 'remove', 'user', 'passwd', 'login', 'logoff', 'logout', 'index', 'upload', 'test', 'push', 'install', 'refresh']
  expect(listed.slice(0, known.length)).toEqual(known)
  for (const name of [...known, 'version', 'quickstart']) {
    const { code, out } = await home.run(`${name} -h`)
    expect([name, code, out.join('\n').includes('EXAMPLES')]).toEqual([name, 0, true])
  }
})

test('requests and replies are shown with --debug, before the command and behind it', async () => {
  for (const line of ['--debug list', 'list --debug']) expect((await home.run(line)).err).toEqual(expect.arrayContaining([`[debug] GET ${root}ada/dev`, '[debug] 200 OK']))
})

describe('servers of other kinds', () => {
  let other: Server
  let url: string
  let answer: { readonly headers?: Record<string, string>; readonly body: object }
  beforeAll(async () => {
    other = createServer((_req, res) => res.writeHead(200, { 'Content-Type': 'application/json', ...answer.headers }).end(JSON.stringify(answer.body)))
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
  })
  afterAll(() => {
    other.closeAllConnections()
    other.close()
  })

  test.each<[string, { headers?: Record<string, string>; body: object }, number, readonly string[]]>([
    ['an old one', { body: { type: 'apiconfig', result: { login: '/+login' } } }, 0, [expect.stringMatching(/^WARN: devpi-client-\S+ got an unversioned reply, assuming API-VERSION 2 /) as string]],
    ['another type', { headers: { 'X-DEVPI-API-VERSION': '2' }, body: { type: 'indexconfig', result: {} } }, 1, ["URL/+api: got result type 'indexconfig', expected 'apiconfig'"]],
    ['no place to log in', { headers: { 'X-DEVPI-API-VERSION': '2' }, body: { type: 'apiconfig', result: {} } }, 1, ['URL/+api answers, but does not say where to log in']],
    ['a warning', { headers: { 'X-DEVPI-API-VERSION': '2' }, body: { type: 'apiconfig', result: { login: '/+login' }, warnings: ['going down at noon'] } }, 0, ['going down at noon']],
    ['a name of its own', { headers: { 'X-DEVPI-API-VERSION': '2' }, body: { type: 'apiconfig', result: { login: 'https://pkgs.example/+login' } } }, 0, ['The server has rewritten the url to: https://pkgs.example/']],
  ])('%s', async (_name, given, code, err) => {
    answer = given
    await using strange = await DevpiHome.open()
    const ran = await strange.run(`use ${url}`)
    expect([ran.code, ran.err.map((line) => line.replace(url, 'URL'))]).toEqual([code, err])
  })

  test('a version without a server that answers', async () => {
    await using strange = await DevpiHome.open()
    expect(await strange.run('version')).toMatchObject({ code: 0, out: [expect.stringMatching(/^devpi-client /)], err: [] })
  })
})

const BIN = join(import.meta.dirname, '../../../cli/bin/devpi.js')

test('as a process: Ctrl-C ends a wait with 130 and one line, a reader that goes away with none', async () => {
  const silent = createServer(() => child.kill('SIGINT'))
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const env = { PATH: process.env['PATH'], HOME: home.folder }
  let printed = ''
  const child = execFile(process.execPath, [BIN, 'getjson', `http://127.0.0.1:${(silent.address() as AddressInfo).port}/x`], { env }, (_error, stdout, stderr) => (printed = stdout + stderr))
  const [code] = (await once(child, 'close')) as [number]
  silent.closeAllConnections()
  silent.close()
  expect([code, printed]).toEqual([130, 'interrupted\n'])

  const piped = execFile('/bin/sh', ['-c', `"${process.execPath}" "${BIN}" getjson /ada/dev/kite | true; exit 0`], { env }, (_error, stdout, stderr) => (printed = stdout + stderr))
  await once(piped, 'close')
  expect(printed).toBe('')
})
