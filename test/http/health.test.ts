import type { AddressInfo } from 'node:net'
import express from 'express'
import type { Deps } from '#server/http/deps.js'
import { healthRoutes } from '#server/http/routes/health.js'
import type { Storage } from '#server/storage/storage.js'
import { startServer } from '#test/support/server.js'
import { openStorage, refusalOf, setProject, tempFolder } from '#test/storage/temp-storage.js'
import { startUploadServer } from './upload-server.js'

test.each(['/+health', '/+health/', '/+health/ready', '/+health?ready', '/+health?ready=1'])('a server that is well says so to everybody: %s', async (path) => {
  await using server = await startServer()
  for (const accept of ['*/*', 'text/html', 'application/json']) {
    const reply = await server.fetch(path, { headers: { Accept: accept } })
    const body = path.includes('ready') ? { status: 'ready', reasons: [] } : { status: 'ok' }
    expect([reply.status, await reply.json()]).toEqual([200, body])
    expect(reply.headers.get('cache-control')).toBe('no-store')
  }
  const head = await server.fetch(path, { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([200, ''])
  expect((await server.fetch(path, { method: 'POST' })).status).toBe(405)
})

test('a full disk makes it unready until there is room, and never dead', async () => {
  let free = 0
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path, { freeBytes: () => Promise.resolve(free) })
  await using health = await healthOf(storage)
  expect(await health.ask('/+health/ready')).toEqual([503, { status: 'unready', reasons: ['the disk is nearly full: changes are refused until there is room'] }])
  expect(await health.ask('/+health')).toEqual([200, { status: 'ok' }])
  expect(await refusalOf(setProject(storage, 'demo', 1))).toBe('storage-full') // which is what it says
  free = Infinity
  expect(await health.ask('/+health/ready')).toEqual([200, { status: 'ready', reasons: [] }])
})

test('a log that cannot be written makes it unready until it can, though nobody changes anything', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await using health = await healthOf(storage)
  storage.entries.append = () => Promise.reject(new Error('input/output error'))
  expect(await refusalOf(setProject(storage, 'demo', 1))).toBe('not-available')
  const refresh = storage.entries.refresh.bind(storage.entries)
  storage.entries.refresh = () => Promise.reject(new Error('input/output error'))
  const [status, body] = await health.ask('/+health?ready')
  expect([status, body]).toEqual([503, { status: 'unready', reasons: ['the last change could not be written; the next one is tried again, and if that fails with room on the disk, the server has to be restarted'] }])
  expect(await health.ask('/+health')).toEqual([200, { status: 'ok' }])
  storage.entries.refresh = refresh // a balancer that sends nobody to who is unready would wait for ever
  expect(await health.ask('/+health?ready')).toEqual([200, { status: 'ready', reasons: [] }])
})

test('a server that stops is unready', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await using health = await healthOf(storage)
  await health.deps.streams[Symbol.asyncDispose]()
  expect(await health.ask('/+health/ready')).toEqual([503, { status: 'unready', reasons: ['the server is stopping'] }])
})

async function healthOf(storage: Storage): Promise<AsyncDisposable & { readonly deps: Deps; readonly ask: (path: string) => Promise<[number, unknown]> }> {
  const server = await startUploadServer()
  const deps = { ...server.deps, storage }
  const listening = express().use(healthRoutes(deps)).listen(0, '127.0.0.1')
  await new Promise((resolve) => listening.once('listening', resolve))
  const { port } = listening.address() as AddressInfo
  return {
    deps,
    ask: async (path) => {
      const reply = await fetch(`http://127.0.0.1:${port}${path}`)
      return [reply.status, await reply.json()]
    },
    [Symbol.asyncDispose]: async () => {
      listening.close()
      listening.closeAllConnections()
      await server[Symbol.asyncDispose]()
    },
  }
}
