import { mkdir, readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { startServer } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'

let home: DevpiHome
beforeEach(async () => {
  home = await DevpiHome.open()
})
afterEach(() => home[Symbol.asyncDispose]())

/** The files of a process of its own that runs this, as Node's own record of what it executed names them. */
async function filesLoadedBy(line: string): Promise<string[]> {
  const folder = home.path('loaded')
  await mkdir(folder)
  await home.spawn(line, { env: { NODE_V8_COVERAGE: folder } })
  const urls = new Set<string>()
  for (const name of await readdir(folder)) {
    const { result } = JSON.parse(await readFile(home.path('loaded', name), 'utf8')) as { result: { url: string }[] }
    for (const { url } of result) if (url.startsWith('file:')) urls.add(fileURLToPath(url))
  }
  return [...urls].sort()
}

test('the version is told by one file', async () => {
  expect(await filesLoadedBy('--version')).toEqual([expect.stringMatching(/[\\/]cli[\\/]bin[\\/]devpi\.js$/)])
})

test('a command loads itself and nothing of the server', async () => {
  await using server = await startServer()
  for (const line of [`use ${server.url}`, 'user -c ada password=', 'login ada --password=', 'index -c dev bases=', 'use dev']) await home.succeed(line)
  const loaded = await filesLoadedBy('list')
  const ours = loaded.flatMap((path) => /[\\/]dist[\\/](\w+(?:-\w+)*)[\\/](.*)$/.exec(path.replace(/.*node_modules.*/, ''))?.slice(1) ?? [])
  expect(new Set(ours.filter((_part, at) => at % 2 === 0))).toEqual(new Set(['cli', 'log-format']))
  expect(loaded.filter((path) => /[\\/]commands[\\/]/.test(path) && !path.includes('node_modules'))).toEqual([expect.stringMatching(/[\\/]list\.js$/)])
  expect(loaded.filter((path) => /[\\/]node_modules[\\/](express|level|classic-level|pino|busboy|chokidar|node-stream-zip|tar-stream|htmlparser2|hash-wasm|yaml)[\\/]/.test(path))).toEqual([])
})
