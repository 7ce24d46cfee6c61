import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROOT } from '#test/support/child-server.js'
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
  expect(loaded.filter((path) => !/[\\/](cli[\\/]bin|dist[\\/]bundle)[\\/]/.test(path))).toEqual([])
  expect(loaded.filter((path) => /[\\/]commands[\\/]/.test(path))).toEqual([expect.stringMatching(/[\\/]list\.js$/)])
  const texts = await Promise.all(loaded.map((path) => readFile(path, 'utf8')))
  const origins = texts.flatMap((text) => [...text.matchAll(/^\/\/ (dist\/[\w-]+|node_modules\/(?:@[\w-]+\/)?[\w.-]+)\//gm)].map(([, from]) => from))
  expect(new Set(origins.filter((from) => from?.startsWith('dist/')))).toEqual(new Set(['dist/cli', 'dist/log-format']))
  expect(origins).toEqual(expect.arrayContaining(['node_modules/@oclif/core', 'node_modules/got']))
  expect(origins).not.toContain('node_modules/http2-wrapper')
})

test('the licences of what is bundled stand beside it', async () => {
  const licences = await readFile(join(ROOT, 'dist/bundle/LICENSES.txt'), 'utf8')
  for (const name of ['@oclif/core', 'got', 'keyv']) expect(licences).toMatch(new RegExp(`^${name} [\\d.]+: MIT\\n\\n.*Permission is hereby granted`, 'ms'))
})
