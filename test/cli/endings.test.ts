import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { freePort } from '#test/support/free-port.js'
import { sdist } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'
import { callsOf, standIn } from './stand-in.js'

/** How commands end that are ended from outside: by signals, and by readers that go away. */
const BIN = join(import.meta.dirname, '../../../cli/bin/devpi.js')

let server: TestServer
let ada: TestUser
let home: DevpiHome

beforeAll(async () => {
  server = await startServer()
  ada = await server.signUp('ada', { dev: { volatile: true } })
  await ada.upload('dev', sdist('kite', '1.0', { extra: { 'tox.ini': Buffer.from('[tox]\n') } }))
  home = await DevpiHome.open()
  for (const line of [`use ${server.url}`, ['login', 'ada', '--password=ada secret'], 'use ada/dev']) await home.succeed(line)
})
afterAll(async () => {
  await home[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

interface Process extends AsyncDisposable {
  readonly child: ChildProcess
  /** Until it has printed that, on either output; all it has printed. */
  readonly printed: (pattern: RegExp) => Promise<string>
  readonly ended: Promise<number>
}

function start(words: readonly string[], env: NodeJS.ProcessEnv = {}): Process {
  const child = spawn(process.execPath, [BIN, ...words], { cwd: home.folder, env: { PATH: process.env['PATH'], HOME: home.folder, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'close').then(([code, signal]) => (typeof code === 'number' ? code : 128 + constants.signals[signal as NodeJS.Signals]))
  let text = ''
  const look: (() => void)[] = []
  const take = (chunk: Buffer): void => {
    text += chunk.toString()
    for (const one of look) one()
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  return {
    child,
    ended,
    printed: (pattern) => new Promise((resolve, reject) => {
      const check = (): void => {
        if (pattern.test(text)) resolve(text)
      }
      look.push(check)
      check()
      void ended.then(() => reject(new Error(`ended without ${String(pattern)}: ${text}`)))
    }),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

test.each([['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const)('as a process: %s ends tox too, leaves no folder behind, and gives %i', async (signal, code) => {
  await mkdir(home.path('tmp'), { recursive: true })
  const env = { ...(await standIn(home, 'tox', `exec 3> '${home.path('alive')}'\necho "tox began"\nexec sleep 60`)), TMPDIR: home.path('tmp') }
  const toxEnded = untilWritersEnd(home.path('alive'))
  await using devpi = start(['test', 'kite'], env)
  await devpi.printed(/tox began\n/)
  devpi.child.kill(signal)
  expect(await devpi.ended).toBe(code)
  expect(await readdir(home.path('tmp'))).toEqual([])
  await toxEnded
})

/** Until all programs have ended that hold this pipe open. */
async function untilWritersEnd(pipe: string): Promise<void> {
  rmSync(pipe, { force: true }) // at once, since a program that is started then has to find the new one
  execFileSync('mkfifo', [pipe])
  await once(spawn('cat', [pipe], { stdio: 'ignore' }), 'close')
}

test('as a process: a second Ctrl-C ends what passes over the first, and leaves no folder behind', async () => {
  await mkdir(home.path('tmp'), { recursive: true })
  const env = { ...(await standIn(home, 'tox', `exec 3> '${home.path('alive')}'\ntrap '' INT\necho "tox began"\nwhile :; do sleep 0.1; done`)), TMPDIR: home.path('tmp') }
  const toxEnded = untilWritersEnd(home.path('alive'))
  await using devpi = start(['test', 'kite'], env)
  await devpi.printed(/tox began\n/)
  devpi.child.kill('SIGINT')
  devpi.child.kill('SIGINT')
  expect(await devpi.ended).toBe(130)
  expect(await readdir(home.path('tmp'))).toEqual([])
  await toxEnded
})

test('nothing is started after an interruption', async () => {
  const env = await standIn(home, 'tox', 'exit 0')
  const stop = new AbortController()
  const unpacking = home.until('unpacking ').then(() => stop.abort())
  const ran = await home.run('test kite', { env, interrupted: stop.signal })
  await unpacking
  expect([ran.code, ran.err]).toEqual([130, ['interrupted']])
  expect(await callsOf(home, 'tox')).toEqual([])
})

test('an interruption ends the reading of files that are to be uploaded', async () => {
  await writeFile(home.path('kite-1.1.tar.gz'), sdist('kite', '1.1').bytes)
  for (const line of ['upload kite-1.1.tar.gz', 'verify kite-1.1.tar.gz']) {
    expect(await home.run(line, { interrupted: AbortSignal.abort() })).toMatchObject({ code: 130, out: [], err: ['interrupted'] })
  }
})

test.each([['changes', '--follow', '--all'], ['upload', '--watch', '--json']])('as a process: %s %s ends when its reader has gone', async (...words) => {
  await mkdir(home.path('dist'), { recursive: true })
  await writeFile(home.path('dist/kite-1.2.tar.gz'), sdist('kite', '1.2').bytes)
  await using devpi = start(words)
  await devpi.printed(/\d+ {2}20\d\d-|"event":/)
  devpi.child.stdout?.destroy()
  await writeFile(home.path('dist/kite-1.3.tar.gz'), sdist('kite', '1.3').bytes)
  await ada.upload('dev', sdist('other', '1.0'))
  expect(await devpi.ended).toBe(0)
})

const FULL = '/dev/full'
const withFullDisk = existsSync(FULL) ? test : test.skip

withFullDisk('as a process: a result that cannot be written is a failure in one line', async () => {
  const child = spawn('/bin/sh', ['-c', `"${process.execPath}" "${BIN}" getjson /ada/dev > ${FULL}`], { env: { HOME: home.folder } })
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  expect([code, err]).toEqual([1, expect.stringMatching(/^devpi: the output could not be written: ENOSPC.*\n$/)])
})

test('a quickstart that is interrupted leaves no server and nothing that is in the way of the next', async () => {
  await using fresh = await DevpiHome.open()
  const port = await freePort()
  for (const stage of ["process 'devpi-server' started", 'user created: ', 'type=stage']) {
    const stop = new AbortController()
    const stopped = fresh.until(stage).then(() => stop.abort())
    const { code, err } = await fresh.run(`quickstart --user ada --port ${port}`, { interrupted: stop.signal })
    await stopped
    expect([stage, code, err.at(-1)]).toEqual([stage, 130, 'interrupted'])
    expect(await readdir(fresh.path('.devpi'))).toEqual(['server.log'])
    await expect(fetch(`http://localhost:${port}/`)).rejects.toThrow()
  }
})
