import { mkdir, rename, writeFile } from 'node:fs/promises'
import { wheel } from '#test/support/archives.js'
import { startServer } from '#test/support/server.js'
import { listen, plain } from './listening.js'
import { DevpiHome } from './run-devpi.js'

test('a watched folder: what is there, what comes, each once, and after a server was away', async () => {
  await using home = await DevpiHome.open()
  let server = await startServer({ serverDir: home.path('server') })
  const { port } = new URL(server.url)
  for (const line of [`use ${server.url}`, 'user -c wim password=1', 'login wim --password=1', 'index -c dev bases=', 'use dev']) await home.succeed(line)
  const put = async (name: string, bytes: Uint8Array): Promise<void> => {
    await writeFile(home.path('dist', `.${name}`), bytes)
    await rename(home.path('dist', `.${name}`), home.path('dist', name))
  }
  await mkdir(home.path('dist'))
  expect((await home.run('upload --watch nowhere')).err).toEqual(['path does not exist: nowhere'])
  expect(await home.run('upload --once')).toMatchObject({ code: 2 })

  const [first, second] = [wheel('kite', '1.0'), wheel('kite', '1.1')]
  await put(first.filename, first.bytes)
  await writeFile(home.path('dist/half-1.0.whl.part'), 'x')
  expect(await home.run('upload --watch --once --json')).toMatchObject({ code: 0 })
  expect(await home.succeed('list kite')).toHaveLength(1)

  const stop = new AbortController()
  const ready = home.until('watching ')
  const watching = home.run('upload --watch --json', { interrupted: stop.signal })
  await ready
  await server.stop()
  const waiting = home.until('trying again')
  await put(second.filename, second.bytes)
  await waiting
  const uploaded = home.until('"event":"uploaded"')
  server = await startServer({ serverDir: home.path('server'), config: { port: Number(port) } })
  await uploaded
  stop.abort()
  const { out, err, code } = await watching
  expect(out.map((line) => (JSON.parse(line) as { event: string }).event)).toEqual(['skipped', 'uploaded'])
  expect(err.at(-1)).toBe('1 uploaded, 0 not')
  expect(code).toBe(0)
  expect(await home.succeed('list kite')).toHaveLength(2)
  await server.stop()
})

test('a proxy that stays while the server behind it is away is waited for too, but not by --once', async () => {
  let away = true
  let posted = 0
  await using proxy = await listen(plain, (req, res) => {
    const root = `http://${req.headers.host ?? ''}`
    const reply = (status: number, value: object): void => void res.writeHead(status, { 'content-type': 'application/json', 'x-devpi-api-version': '2' }).end(JSON.stringify(value))
    if (req.url?.endsWith('/+api') === true) reply(200, { type: 'apiconfig', result: { login: `${root}/+login`, index: `${root}/a/dev`, simpleindex: `${root}/a/dev/+simple/`, pypisubmit: `${root}/a/dev/` } })
    else if (req.method === 'POST') {
      posted += 1
      req.resume().on('end', () => (away ? res.writeHead(502, 'Bad Gateway').end('<html>') : reply(200, {})))
    } else reply(404, {})
  })
  await using home = await DevpiHome.open()
  await mkdir(home.path('dist'))
  await writeFile(home.path('dist/kite-1.0-py3-none-any.whl'), wheel('kite', '1.0').bytes)
  await home.run(`use ${proxy.url}/a/dev`)
  expect(await home.run('upload --watch --once')).toMatchObject({ code: 1, err: expect.arrayContaining(['0 uploaded, 1 not']) })
  expect(posted).toBe(3)

  const stop = new AbortController()
  const waiting = home.until('502 Bad Gateway, trying again in 0.5 s').then(() => (away = false))
  const uploaded = home.until('"event":"uploaded"').then(() => stop.abort())
  const { out, code } = await home.run('upload --watch --json --poll-ms 50', { interrupted: stop.signal })
  await Promise.all([waiting, uploaded])
  expect([code, out]).toEqual([0, [expect.stringContaining('"event":"uploaded"')]])

  const end = new AbortController()
  const later = home.until('watching ').then(() => end.abort())
  expect((await home.run('upload --watch --json --new-only', { interrupted: end.signal })).out).toEqual([])
  await later
  expect(await home.run('upload --watch --once --new-only')).toMatchObject({ code: 2 })
  expect(await home.run('upload --watch --poll-ms x')).toMatchObject({ code: 2, err: ["devpi: error: argument --poll-ms: 'x' is no number of milliseconds from 10 on"] })
})
