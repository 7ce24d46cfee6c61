import { mkdir, rename, writeFile } from 'node:fs/promises'
import { wheel } from '#test/support/archives.js'
import { startServer } from '#test/support/server.js'
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
