import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { EMPTY_CHAIN, entryDigest } from '#log-format/chain.js'
import { nextSerial, NO_SERIAL } from '#log-format/serial.js'
import { issueNodeToken } from '#server/auth/node-token.js'
import { loadSecret } from '#server/auth/secret-file.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { BlobBacklog } from '#server/replication/blob-backlog.js'
import { BlobFetch, type BlobFetchInput } from '#server/replication/blob-fetch.js'
import { BlobFetches } from '#server/replication/blob-fetches.js'
import { BlobSources } from '#server/replication/blob-sources.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { PartialBlobs } from '#server/storage/partial-blobs.js'
import { Storage } from '#server/storage/storage.js'
import { TEST_NODE } from '#test/support/replica-headers.js'
import type { TestServer } from '#test/support/server.js'

export interface ReplicaOptions extends Partial<Pick<BlobFetchInput, 'threads' | 'skipped' | 'undoWindowMs' | 'retry' | 'pause'>> {
  readonly folder: string
  /** Addresses of other nodes. */
  readonly from: readonly string[]
  /** Where the secret is from. */
  readonly primary?: TestServer
  readonly freeBytes?: () => Promise<number>
}

/** The store of a replica and what fetches its contents; it takes the log over when it is told to. */
export interface BlobReplica extends AsyncDisposable {
  readonly storage: Storage
  readonly blobs: DiskBlobs
  readonly partials: PartialBlobs
  readonly backlog: BlobBacklog
  readonly fetches: BlobFetches
  readonly fetch: BlobFetch
  readonly faults: readonly unknown[]
  takeLog(primary: TestServer): Promise<void>
  /** Starts to fetch and waits for everything to be here. */
  fetchAll(): Promise<void>
}

const SHORT = { firstMs: 5, longestMs: 20 }

export async function openReplica(options: ReplicaOptions): Promise<BlobReplica> {
  const { folder, from, primary, freeBytes = () => Promise.resolve(Infinity), ...given } = options
  const storage = await Storage.open({ folder, projections: ALL_PROJECTIONS, source: 'import', freeBytes: () => Promise.resolve(Infinity) })
  const blobs = await DiskBlobs.open(join(folder, 'files'))
  const partials = await PartialBlobs.open(blobs, join(folder, 'files'))
  const backlog = await BlobBacklog.open(storage)
  const secret = primary === undefined ? randomBytes(32) : await loadSecret(join(primary.serverDir, '.secret'))
  const sources = new BlobSources({
    urls: () => from.map((url) => new URL(url)),
    credentials: () => ({ 'X-DEVPI-REPLICA-UUID': TEST_NODE, Authorization: `Bearer ${issueNodeToken(secret, TEST_NODE, Date.now())}` }),
    userAgent: 'test',
    idleTimeoutMs: 5000,
    now: Date.now,
  })
  const fetches = new BlobFetches({ sources, partials, backlog, maxBytes: 2 ** 30, freeBytes, cutPauseMs: 1 })
  const faults: unknown[] = []
  const fetch = new BlobFetch({
    storage, blobs, partials, fetches, backlog, now: Date.now,
    threads: 4, skipped: { indexes: new Set(), types: new Set() }, undoWindowMs: 0, retry: SHORT, pause: SHORT,
    onFault: (fault) => faults.push(fault),
    ...given,
  })
  return {
    storage, blobs, partials, backlog, fetches, fetch, faults,
    takeLog: (from) => takeLog(storage, from.running.storage),
    fetchAll: async () => {
      await fetch.start()
      await fetch.until(({ queued, failed }) => queued === 0 && failed === 0)
    },
    [Symbol.asyncDispose]: async () => {
      await fetch[Symbol.asyncDispose]()
      await fetches[Symbol.asyncDispose]()
      sources[Symbol.dispose]()
      await blobs[Symbol.asyncDispose]()
      await storage[Symbol.asyncDispose]()
    },
  }
}

async function takeLog(to: Storage, from: Storage): Promise<void> {
  let { digest } = to.head.serial === NO_SERIAL ? EMPTY_CHAIN : to.head
  for await (const entries of from.entries.read(nextSerial(to.head.serial))) {
    const frames = entries.map(({ bytes }) => {
      digest = entryDigest(digest, bytes)
      return { bytes, digest }
    })
    await to.importEntries(frames)
  }
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

type Answer = (sha256: string, request: IncomingMessage, response: ServerResponse) => void

/** Another node, which answers for contents as a test tells it to. */
export interface FakeNode extends AsyncDisposable {
  readonly url: string
  /** What was asked for, with the range if there was one, `0123… bytes=7-`. */
  readonly asked: readonly string[]
}

export async function fakeNode(answer: Answer): Promise<FakeNode> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const sha256 = /^\/\+blobs\/([0-9a-f]{64})$/.exec(request.url ?? '')?.[1] ?? ''
    asked.push([sha256, request.headers.range].filter((word) => word !== undefined).join(' '))
    answer(sha256, request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Answers as a node does that has the content. */
export function sendContent(content: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const range = { 'Content-Range': `bytes ${from}-${content.length - 1}/${content.length}` }
  response.writeHead(from === 0 ? 200 : 206, { 'Content-Length': content.length - from, ...(from > 0 && range) })
  response.end(content.subarray(from))
}
