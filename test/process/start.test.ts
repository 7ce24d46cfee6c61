import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT, startChild } from '#test/support/child-server.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'start-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs one of the programs to its end. */
function run(program: string, args: readonly string[]): Promise<Ended> {
  const cheap = ['--argon2-memory-cost', '8', '--argon2-time-cost', '1']
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [join(ROOT, `server/bin/${program}.js`), '--serverdir', folder, ...args, ...(program === 'devpi-fsck' ? [] : cheap)], (_, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr })
    })
    child.stdin?.end('')
  })
}

test('an empty folder becomes a server directory, and one line says where it serves', async () => {
  await using server = await startChild(folder)
  expect(server.readyLine).toBe(`devpi-server ready: ${server.url} role=standalone serverdir=${folder} serial=0`)
  const users = (await (await fetch(server.url)).json()) as { result: Record<string, { indexes: object }> }
  expect(Object.keys(users.result)).toEqual(['root'])
  expect(users.result['root']?.indexes).toMatchObject({ pypi: { type: 'mirror', volatile: false } })
  const login = await fetch(`${server.url}/+login`, { method: 'POST', body: '{"user":"root","password":""}' })
  expect(login.status).toBe(200)
  expect((await stat(join(folder, '.secret'))).mode & 0o777).toBe(0o600)
})

test('a second server on the same folder is refused in one sentence', async () => {
  await using _server = await startChild(folder)
  const { code, stdout, stderr } = await run('devpi-server', ['--port', '0'])
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^devpi-server: another process uses .*; stop it, or choose another --serverdir\n$/)
})

test('a folder that cannot be one is refused in one sentence', async () => {
  const { code, stderr } = await run('devpi-server', ['--serverdir', join(ROOT, 'package.json'), '--port', '0'])
  expect(code).toBe(1)
  expect(stderr).toMatch(/^devpi-server: .*package\.json cannot be made a server directory \(EEXIST\); choose another --serverdir\n$/)
})

test('a port in use is refused in one sentence', async () => {
  await using server = await startChild(folder)
  const other = await mkdtemp(join(tmpdir(), 'start-'))
  const { code, stderr } = await run('devpi-server', ['--serverdir', other, '--port', new URL(server.url).port, '--host', '127.0.0.1'])
  await rm(other, { recursive: true })
  expect(code).toBe(1)
  expect(stderr).toMatch(/^devpi-server: port \d+ of 127\.0\.0\.1 is in use; choose another --port, or 0 for a free one\n$/)
})

test('while root has no password, no other machine reaches the server', async () => {
  const refused = await run('devpi-server', ['--host', '0.0.0.0', '--port', '0'])
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(/root has an empty password.*devpi-passwd root --serverdir DIR/)
  await rm(folder, { recursive: true })
  expect((await run('devpi-init', ['--root-passwd', 'mellon'])).code).toBe(0)
  await using server = await startChild(folder, ['--host', '0.0.0.0'])
  expect(server.readyLine).toContain('http://0.0.0.0:')
})

test('devpi-init tells what there is from the start, refuses a folder that has a log, and leaves it alone', async () => {
  const first = await run('devpi-init', [])
  expect(first).toMatchObject({ code: 0, stdout: `initialised ${folder} with user root and index root/pypi\n` })
  expect(first.stderr.trimEnd().split('\n').map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ msg: 'generated the uuid of this server', uuid: expect.stringMatching(/^[0-9a-f]{8}-?[0-9a-f-]+$/) }),
    expect.objectContaining({ msg: 'created the user root' }),
    expect.objectContaining({ msg: 'created the index root/pypi' }),
  ])
  const again = await run('devpi-init', ['--root-passwd', 'other'])
  expect(again.code).toBe(1)
  expect(again.stderr).toMatch(/is initialised already/)
  const { code, stdout } = await run('devpi-fsck', [])
  expect([code, stdout]).toEqual([0, expect.stringMatching(/no|0/i)])
})

test('devpi-fsck makes and removes nothing where the files are: who runs it may be another user than the server', async () => {
  await run('devpi-init', ['--root-passwd', 'mellon'])
  const digest = 'ab'.repeat(32)
  for (const below of ['files/ab', 'files/+tmp']) await mkdir(join(folder, below), { recursive: true })
  for (const file of [`files/ab/${digest}`, 'files/+tmp/1']) await writeFile(join(folder, file), 'content')
  const before = await readdir(join(folder, 'files'), { recursive: true })
  const { code, stdout } = await run('devpi-fsck', [])
  expect([code, stdout]).toEqual([0, expect.stringContaining('1 of which nothing names')])
  expect(await readdir(join(folder, 'files'), { recursive: true })).toEqual(before)
})

test.each([
  ['whose database is gone', 'files/ab', 'ab'.repeat(32)],
  ['whose database lost its first file', 'db', '000005.ldb'],
])('a folder %s is not taken for an empty one', async (_, below, name) => {
  await mkdir(join(folder, below), { recursive: true })
  await writeFile(join(folder, below, name), 'content')
  for (const program of ['devpi-server', 'devpi-init']) {
    const { code, stderr } = await run(program, program === 'devpi-server' ? ['--port', '0'] : [])
    expect([code, stderr]).toEqual([1, expect.stringMatching(/whose database is gone or damaged; restore its folder db/)])
  }
  expect(await readdir(join(folder, below))).toEqual([name])
})

test('a hash that no password can match is no password of root', async () => {
  const { code, stderr } = await run('devpi-init', ['--root-passwd-hash', '$2b$12$abc'])
  expect([code, stderr]).toEqual([1, expect.stringMatching(/^devpi-init: --root-passwd-hash is no argon2id hash/)])
  expect((await run('devpi-init', ['--root-passwd', 'mellon'])).code).toBe(0)
})

test('devpi-fsck refuses a folder that is none, and does not make it one', async () => {
  const { code, stderr } = await run('devpi-fsck', [])
  expect(code).toBe(1)
  expect(stderr).toMatch(/is no server directory/)
  expect(await readdir(folder)).toEqual([])
})

test.each(['SIGTERM', 'SIGINT'] as const)('%s lets a running request end, cuts idle connections and closes', async (signal) => {
  await using server = await startChild(folder)
  await using idle = await open(server.url)
  await using busy = await open(server.url)
  const body = '{"password":"secret"}'
  idle.socket.write('GET /+api HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n')
  await idle.until(/"apiconfig"/)
  // `Expect` makes the server say when it has begun with the request.
  busy.socket.write(`PUT /nina HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`)
  await busy.until(/100 Continue/)

  const exited = once(server.process, 'exit')
  server.process.kill(signal)
  await once(idle.socket, 'close')
  busy.socket.write(body)
  await busy.until(/HTTP\/1\.1 201 Created/)
  expect(await exited).toEqual([0, null])
  await using again = await startChild(folder)
  expect((await fetch(`${again.url}/nina`)).status).toBe(200)
})

async function open(url: string): Promise<{ socket: Socket; until(pattern: RegExp): Promise<void> } & AsyncDisposable> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  let received = ''
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
    socket.emit('received')
  })
  return {
    socket,
    until: async (pattern) => {
      while (!pattern.test(received)) await once(socket, 'received')
    },
    [Symbol.asyncDispose]: () => {
      socket.destroy()
      return Promise.resolve()
    },
  }
}
