import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express, { type ErrorRequestHandler } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { StageIndexValue } from '#log-format/values.js'
import { Authenticator } from '#server/auth/identify.js'
import { LoginThrottle } from '#server/auth/login-throttle.js'
import { nodeTokens } from '#server/auth/node-token.js'
import { PasswordHasher } from '#server/auth/passwords.js'
import { storedTokens } from '#server/commands/tokens.js'
import { beginRequest } from '#server/http/authenticate.js'
import { ChangeStreams } from '#server/http/change-streams.js'
import type { Deps } from '#server/http/deps.js'
import { DocsArchives } from '#server/http/docs-archives.js'
import { sendRefusal } from '#server/http/errors.js'
import { HotFiles } from '#server/http/hot-files.js'
import { Metrics } from '#server/http/metrics.js'
import { trustProxies } from '#server/http/peers.js'
import { ProjectPages } from '#server/http/project-pages.js'
import { drainOrClose, RequestAborted } from '#server/http/request-body.js'
import { setNodeHeaders, setSerial } from '#server/http/respond.js'
import { fileRoutes } from '#server/http/routes/files.js'
import { postToIndex } from '#server/http/routes/uploads.js'
import { PublicFiles } from '#server/http/public-files.js'
import { SmallFileCache } from '#server/http/small-file-cache.js'
import { UploadTurns } from '#server/http/upload-turns.js'
import { outsideUrls } from '#server/http/urls.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { Feed } from '#server/replication/feed.js'
import { ReplicaTable } from '#server/replication/replica-table.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { Storage } from '#server/storage/storage.js'
import { secretNames } from '#server/storage/vault.js'
import { NameLists } from '#server/storage/name-lists.js'
import { FetchedFiles } from '#server/stages/fetched-files.js'
import { MirrorNames } from '#server/stages/mirror-names.js'
import { WheelTails } from '#server/stages/wheel-tails.js'
import { OtherPlaces } from '#server/stages/other-places.js'
import { MirrorRefresher } from '#server/stages/refresh-mirror.js'
import { UpstreamClient } from '#server/upstream/client.js'
import { FileDownloads } from '#server/upstream/file-download.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import type { ReleaseFile } from '#test/support/archives.js'

const STAGE: StageIndexValue = {
  type: 'stage',
  created: 1,
  volatile: true,
  acl_upload: ['nina'],
  bases: [],
  mirror_whitelist: [],
  mirror_whitelist_inheritance: 'intersection',
}

/** Indexes of nina, who alone may upload to them; bob may read the private one. */
const INDEXES = {
  dev: STAGE,
  prod: { ...STAGE, volatile: false },
  private: { ...STAGE, acl_read: ['nina', 'bob'] },
  locked: { ...STAGE, acl_toxresult_upload: ['nina'] },
  mirror: { type: 'mirror', created: 1, volatile: false },
} as const

/** The routes of uploads and files on a real connection, over a real store. */
export interface UploadServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly deps: Deps
  readonly faults: readonly unknown[]
  head(): number
  /** Value of `Authorization`. */
  auth(user: string): string
  fetch(path: string, init?: RequestInit): Promise<Response>
  as(user: string): (path: string, init?: RequestInit) => Promise<Response>
  /** Sends bytes as they are and reads until the server closes, or until `until` is in the answer. */
  sendRaw(bytes: Uint8Array): Promise<string>
  /** Every file below `files/`, half-received ones too. */
  files(): Promise<string[]>
  /** Resolves when the request that runs is over. */
  requestOver(): Promise<void>
}

export async function startUploadServer(limits: Partial<Deps['limits']> = {}): Promise<UploadServer> {
  const folder = await mkdtemp(join(tmpdir(), 'uploads-'))
  const storage = await Storage.open({ folder, projections: ALL_PROJECTIONS })
  const blobs = await DiskBlobs.open(join(folder, 'files'))
  const faults: unknown[] = []
  const deps = depsOf(storage, blobs, limits, faults)
  await signUp(deps)
  let over = (): void => undefined
  const server = listen(deps, () => over())
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const auth = (user: string): string => `Basic ${Buffer.from(`${user}:${deps.authenticator.tokenFor(user)?.token}`).toString('base64')}`
  return {
    url,
    port,
    deps,
    faults,
    auth,
    head: () => storage.head.serial,
    fetch: (path, init) => fetch(url + path, init),
    as: (user) => (path, init = {}) => fetch(url + path, { ...init, headers: { Authorization: auth(user), ...init.headers } }),
    sendRaw: (bytes) => sendRaw(port, bytes),
    files: async () => {
      const entries = await readdir(join(folder, 'files'), { recursive: true, withFileTypes: true })
      return entries.filter((entry) => entry.isFile()).map(({ name }) => name)
    },
    requestOver: () => new Promise((resolve) => (over = resolve)),
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      deps.pages[Symbol.dispose]?.()
      await deps.docs[Symbol.asyncDispose]()
      await blobs[Symbol.asyncDispose]()
      await storage[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

/** Uploads as nina, with nothing but what every form has. */
export function uploadTo(server: UploadServer, index: string, name: string, version: string, file: ReleaseFile): Promise<Response> {
  const form = new FormData()
  for (const [field, value] of Object.entries({ ':action': 'file_upload', name, version })) form.set(field, value)
  form.set('content', new Blob([file.bytes]), file.filename)
  return server.as('nina')(`/nina/${index}/`, { method: 'POST', body: form })
}

/** Where an uploaded file can be had (`spec/server-http.md` 12.1). */
export function filePathOf(index: string, { filename, bytes }: ReleaseFile): string {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return `/nina/${index}/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${filename}`
}

function depsOf(storage: Storage, blobs: DiskBlobs, limits: Partial<Deps['limits']>, faults: unknown[]): Deps {
  const hasher = new PasswordHasher({ memoryKib: 8, iterations: 1, parallelism: 1, concurrency: 1 })
  const proxies = trustProxies([])
  const node = { serverVersion: '1', uuid: storage.nodeId, primaryUuid: storage.nodeId, epoch: 0 }
  const smallFiles = new SmallFileCache()
  const hotFiles = new HotFiles()
  const upstream = new UpstreamClient({ hosts: new TargetHosts([]), userAgent: 'test', now: () => 0, idleTimeoutMs: 1000 })
  const pages = new ProjectPages(storage, node)
  const files = new PublicFiles(storage, node, smallFiles)
  const uploadTurns = new UploadTurns({ pages: () => 0 })
  const streams = new ChangeStreams()
  const feed = new Feed({ storage, now: Date.now })
  const downloads = new FileDownloads({ client: upstream, store: blobs, maxBytes: 0 })
  const mirrors = new MirrorRefresher({ storage, client: upstream, now: () => 0, newRequestId: () => 'r', onFault: (fault) => { throw fault } })
  const secret = randomBytes(32)
  let requests = 0
  return {
    storage,
    blobs,
    uploadTurns,
    hasher,
    streams,
    feed,
    replicas: new ReplicaTable(),
    follower: undefined,
    relay: undefined,
    onFenced: () => undefined,
    metrics: new Metrics({ serverVersion: '1', storage, blobs, pages, uploadTurns, files, smallFiles, hotFiles, streams, downloads, mirrors, feed, follower: () => undefined, swept: () => undefined }),
    isMonitor: () => true,
    proxies,
    node,
    now: Date.now,
    newRequestId: () => `request-${(requests += 1)}`,
    authenticator: new Authenticator({
      secretOf: (user) => storage.vault.get(secretNames.user(user)),
      apiTokens: storedTokens(storage),
      secret,
      hasher,
      throttle: new LoginThrottle({ now: Date.now }),
      now: Date.now,
    }),
    nodeTokens: nodeTokens(secret, Date.now),
    pages,
    smallFiles,
    hotFiles,
    files,
    docs: new DocsArchives(blobs),
    outsideUrl: outsideUrls({ proxies }),
    policy: { signUp: 'open' },
    limits: { maxUploadBytes: 4_000_000, idleTimeoutMs: 10_000, metadataWaitMs: 10_000, ...limits },
    targetHosts: new TargetHosts([]),
    mirrors,
    isStored: undefined,
    usedBlobs: undefined,
    mirrorNames: new MirrorNames({ storage, client: upstream, lists: new NameLists(''), now: () => 0, onFault: (fault) => { throw fault } }),
    downloads,
    fetchedFiles: new FetchedFiles(storage.notes),
    otherPlaces: new OtherPlaces(upstream, () => 0),
    wheelTails: new WheelTails(upstream),
    facts: () => ({ serverdir: '', host: '', port: 0, outsideUrl: undefined, serverCode: '' }),
    reportFault: (error) => faults.push(error),
  }
}

async function signUp({ storage, hasher }: Deps): Promise<void> {
  const verifier = await hasher.hash('secret')
  await storage.transact({ time: 1, actor: '+system', via: 'system', request: 'test' }, async (tx) => {
    for (const user of ['nina', 'bob']) {
      tx.set(keys.user({ user }), { created: 1 })
      tx.secrets.set(secretNames.user(user), { verifier, id: user })
    }
    for (const [index, value] of Object.entries(INDEXES)) tx.set(keys.index({ user: 'nina', index }), value)
    tx.record({ kind: 'server-initialised' })
  })
}

function listen(deps: Deps, requestOver: () => void): Server {
  const app = express()
  app.use((req, res, next) => {
    beginRequest(req, deps.newRequestId())
    setNodeHeaders(res, deps.node)
    setSerial(res, deps.storage.head.serial)
    req.url = req.url.replace(/%2b/gi, '+')
    res.on('finish', requestOver)
    next()
  })
  app.post('/:user/:index{/}', postToIndex(deps))
  app.use(fileRoutes(deps))
  const answerErrors: ErrorRequestHandler = (error: unknown, req, res, _next) => {
    requestOver()
    if (error instanceof RequestAborted) return void res.destroy()
    drainOrClose(req, res)
    if (error instanceof Refusal) {
      sendRefusal(req, res, error)
      return
    }
    deps.reportFault(error, { faultId: '', request: '', url: req.url })
    res.writeHead(500).end()
  }
  app.use(answerErrors)
  return app.listen(0, '127.0.0.1')
}

function sendRaw(port: number, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (piece: string) => (answer += piece))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answer))
    socket.end(bytes)
  })
}
