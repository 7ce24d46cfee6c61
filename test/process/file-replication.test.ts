import { join } from 'node:path'
import { fileReplicationJson } from '#server/http/file-replication-status.js'
import { type ReleaseFile, wheel } from '#test/support/archives.js'
import { docsUpload, pages } from '#test/support/docs.js'
import { startServer, type TestServer, type TestServerOptions, type TestUser } from '#test/support/server.js'
import { zip } from '#test/support/zip-builder.js'
import { sha256Of } from '../replication/blob-replica.js'

const FILES: readonly ReleaseFile[] = ['1.0', '1.1', '1.2'].map((version) => wheel('demo', version, { padding: 300_000 }))
const SHORT = { firstMs: 10, longestMs: 50 }

let primary: TestServer
let alice: TestUser
/** What everybody may have of the primary's files. */
const paths: string[] = []
beforeAll(async () => {
  primary = await startServer()
  alice = await primary.signUp('alice', { dev: {}, hidden: { acl_read: ['alice'] } })
  for (const file of FILES) {
    await alice.upload('dev', file)
    const path = `/alice/dev/+f/${sha256Of(file.bytes).slice(0, 3)}/${sha256Of(file.bytes).slice(3, 16)}/${file.filename}`
    paths.push(path, `${path}.metadata`)
  }
  await alice.upload('dev', docsUpload('demo', '1.0', zip(pages({ 'index.html': '<p>hello' }))))
  paths.push('/alice/dev/demo/1.0/+doc/index.html')
  const report = await alice.fetch(paths[0]!, { method: 'POST', body: '{"host": "box"}' })
  paths.push(`/${((await report.json()) as { result: string }).result.split('#')[0]!}`)
  await alice.upload('hidden', wheel('secret', '1.0'))
})
afterAll(() => primary[Symbol.asyncDispose]())

async function startReplica(config: TestServerOptions['config'] = {}): Promise<TestServer> {
  const replica = await startServer({
    config: { role: 'replica', primaryUrl: primary.url, secretFile: join(primary.serverDir, '.secret'), ...config },
    fileReplication: { retry: SHORT, pause: SHORT },
  })
  await replica.running.storage.reached(primary.running.storage.head.serial)
  return replica
}

async function answers(server: TestServer): Promise<Readonly<Record<string, unknown>>> {
  const found: Record<string, unknown> = {}
  for (const path of paths) {
    const reply = await server.fetch(path, { headers: { 'Accept-Encoding': 'identity' } })
    const kept = ['content-type', 'content-length', 'etag', 'last-modified', 'cache-control'].map((name) => reply.headers.get(name))
    found[path] = [reply.status, ...kept, sha256Of(Buffer.from(await reply.arrayBuffer()))]
  }
  return found
}

interface Status {
  readonly 'replica-files-in-sync-at': number | null
  readonly 'replication-errors': object
  readonly 'replica-files-paused'?: string | null
  readonly metrics: readonly (readonly [string, string, number])[]
}

async function statusOf(server: TestServer): Promise<Status> {
  const reply = await server.fetch('/+status', { headers: { Accept: 'application/json' } })
  return ((await reply.json()) as { result: Status }).result
}

test('a replica has all files, answers as its primary does, and tells how it does', async () => {
  await using replica = await startReplica()
  const { fileReplication: files, blobs } = replica.running
  await files!.fetch.until(({ queued }) => queued === 0)
  expect(await answers(replica)).toEqual(await answers(primary))
  expect(blobs.counts.received).toBe(6) // also that of the index which not everybody may read

  const status = await statusOf(replica)
  expect(status['replica-files-in-sync-at']).toBeGreaterThan(0)
  expect(status['replication-errors']).toEqual({})
  expect(status).not.toHaveProperty('replica-files-paused')
  expect(status.metrics).toEqual(
    expect.arrayContaining([
      ['devpi_server_replica_file_download_queue_size', 'gauge', 0],
      ['devpi_server_replica_file_download_error_queue_size', 'gauge', 0],
    ]),
  )
  expect(await (await replica.fetch('/+metrics')).text()).toContain('\ndevpi_replica_files_fetched_total 6\n')
  expect(await statusOf(primary)).not.toHaveProperty('replication-errors')

  const file = wheel('demo', '2.0')
  await alice.upload('dev', file)
  await replica.running.storage.reached(primary.running.storage.head.serial)
  await files!.fetch.until(({ queued }) => queued === 0)
  expect(await blobs.read(sha256Of(file.bytes))).toEqual(file.bytes)
})

test('a replica that fetches nothing by itself answers the same, out of its primary and other replicas', async () => {
  await using first = await startReplica()
  await first.running.fileReplication!.fetch.until(({ queued }) => queued === 0)
  await using second = await startReplica({ skippedFiles: 'all', fileSources: [first.url] })
  const { fileReplication: files, blobs } = second.running
  await files!.fetch.until(({ queued }) => queued === 0)
  expect(blobs.counts.received).toBe(0)
  expect(await answers(second)).toEqual(await answers(primary))

  const lost = wheel('lost', '1.0')
  await alice.upload('dev', lost)
  for (const server of [first, second]) await server.running.storage.reached(primary.running.storage.head.serial)
  await first.running.fileReplication!.fetch.until(({ queued }) => queued === 0)
  await primary.running.blobs.delete(sha256Of(lost.bytes))
  const path = `/alice/dev/+f/${sha256Of(lost.bytes).slice(0, 3)}/${sha256Of(lost.bytes).slice(3, 16)}/${lost.filename}`
  const reply = await second.fetch(path)
  expect([reply.status, sha256Of(Buffer.from(await reply.arrayBuffer()))]).toEqual([200, sha256Of(lost.bytes)])
  expect((await second.fetch('/alice/hidden/+f/abc/0123456789abc/secret-1.0-py3-none-any.whl')).status).toBe(401)
})

test('a file that its primary lost is listed, for root with what is known of it', async () => {
  const file = wheel('gone', '1.0')
  await alice.upload('dev', file)
  await primary.running.blobs.delete(sha256Of(file.bytes))
  await primary.running.blobs.delete(sha256Of(wheel('lost', '1.0').bytes))
  await using replica = await startReplica()
  const files = replica.running.fileReplication!
  await files.fetch.until(({ queued, failed }) => queued === 0 && failed === 2)
  const status = await statusOf(replica)
  expect(status['replication-errors']).toEqual({})
  expect(status.metrics).toContainEqual(['devpi_server_replica_file_download_error_queue_size', 'gauge', 2])

  const path = `alice/dev/+f/${sha256Of(file.bytes).slice(0, 3)}/${sha256Of(file.bytes).slice(3, 16)}/${file.filename}`
  const { 'replication-errors': errors, ...rest } = fileReplicationJson(files, { mayInspect: true })
  expect(rest['replica-files-paused']).toBe(null)
  expect(errors[path]).toEqual({ url: `${primary.url}/+blobs/${sha256Of(file.bytes)}`, message: `${new URL(primary.url).host} does not have it`, relpath: path })

  await alice.delete(`/${path}?force`) // nobody wants it any more
  await replica.running.storage.reached(primary.running.storage.head.serial)
  await files.fetch.until(({ failed }) => failed === 1)
  expect(Object.keys(fileReplicationJson(files, { mayInspect: true })['replication-errors'])).toEqual([expect.stringContaining('/lost-1.0-')])
})

test('while its primary is away a replica serves what it has, and says of the rest that it is not there yet', async () => {
  await using replica = await startReplica({ skippedFiles: 'all' })
  const [first = '', , second = ''] = paths
  expect((await replica.fetch(first)).status).toBe(200)
  await primary.stop()
  expect((await replica.fetch(first)).status).toBe(200)
  const reply = await replica.fetch(second, { headers: { Accept: 'application/vnd.pypi.simple.v1+json, */*' } })
  expect([reply.status, await reply.text()]).toEqual([503, expect.stringContaining('the file is not on this replica yet, and its primary cannot be asked for it now; try again later')])
})
