import { join } from 'node:path'
import { readFile } from 'node:fs/promises'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { UpstreamClient } from '#server/upstream/client.js'
import { type DownloadStore, FileDownloads, type WantedFile } from '#server/upstream/file-download.js'
import { DownloadSlots } from '#server/upstream/download-slots.js'
import { fetchProjectPage } from '#server/upstream/project-page.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import { tempFolder, type TempFolder } from '../storage/temp-storage.js'
import { sha256Of, TestUpstream } from '../support/upstream.js'

const CONTENT = Buffer.alloc(600_000, 'some content')
const PATH = '/files/demo.zip'

let folder: TempFolder
let blobs: DiskBlobs
let upstream: TestUpstream
let client: UpstreamClient

beforeEach(async () => {
  folder = await tempFolder()
  blobs = await DiskBlobs.open(join(folder.path, 'files'))
  upstream = await TestUpstream.start()
  client = newClient(60_000)
})
afterEach(async () => {
  client[Symbol.dispose]()
  await upstream[Symbol.asyncDispose]()
  await blobs[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

function newClient(idleTimeoutMs: number): UpstreamClient {
  return new UpstreamClient({ hosts: new TargetHosts(['127.0.0.1'], '--allow-private-upstream'), userAgent: 'test', now: () => 0, idleTimeoutMs })
}

function wanted(further: Partial<WantedFile> = {}): WantedFile {
  return { upstream: { url: new URL(upstream.url) }, url: upstream.origin + PATH, owner: 'alice/mirror', sha256: sha256Of(CONTENT), ...further }
}

function withoutDigest(further: Partial<WantedFile> = {}): WantedFile {
  const { sha256: _, ...rest } = wanted(further)
  return rest
}

function downloads(store: DownloadStore = blobs): FileDownloads {
  return new FileDownloads({ client, store, maxBytes: 1e9 })
}

/** A store in which a commit takes until it is let go on. */
function slowStore(goOn: Promise<void>): DownloadStore {
  return {
    receive: async (stream, options) => {
      const received = await blobs.receive(stream, options)
      return {
        sha256: received.sha256,
        size: received.size,
        digests: received.digests,
        commit: () => goOn.then(() => received.commit()),
        [Symbol.asyncDispose]: () => received[Symbol.asyncDispose](),
      }
    },
  }
}

test('the last byte is there once the digest is right, before the disk has all of it', async () => {
  upstream.on(PATH, (_request, response) => void response.writeHead(200, { 'content-length': CONTENT.length }).end(CONTENT))
  let goOn = (): void => undefined
  await using running = downloads(slowStore(new Promise((resolve) => { goOn = resolve })))
  const download = running.of(wanted())
  const progress = await download.beyond(CONTENT.length - 1)
  expect(progress).toMatchObject({ kind: 'partial', bytes: CONTENT.length })
  if (progress.kind === 'partial') expect((await readFile(progress.path)).equals(CONTENT)).toBe(true)
  goOn()
  await download.settled()
  expect(await download.beyond(0)).toEqual({ kind: 'whole', sha256: sha256Of(CONTENT), size: CONTENT.length })
})

test('where no digest was announced it is there once the one that was found is noted', async () => {
  upstream.on(PATH, (_request, response) => void response.writeHead(200, { 'content-length': CONTENT.length }).end(CONTENT))
  await using running = downloads()
  let isNoted = false
  const onStored = async (): Promise<void> => { isNoted = await blobs.stat(sha256Of(CONTENT)) !== undefined }
  await running.of(withoutDigest({ onStored })).beyond(CONTENT.length - 1)
  expect(isNoted).toBe(true)
})

test('of a content that is wrong the last byte is given to nobody', async () => {
  const wrong = Buffer.concat([CONTENT.subarray(0, -1), Buffer.from('!')])
  upstream.on(PATH, (_request, response) => void response.writeHead(200, { 'content-length': CONTENT.length }).end(wrong))
  await using running = downloads()
  const download = running.of(wanted())
  const first = await download.beyond(0)
  expect(first.kind === 'partial' && first.bytes < CONTENT.length).toBe(true)
  await expect(download.beyond(CONTENT.length - 1)).rejects.toMatchObject({ kind: 'upstream-failed', message: expect.stringContaining('announced was') as string })
  expect(await blobs.stat(sha256Of(wrong))).toBeUndefined()
})

test('an upstream that stops in the middle of a file and stays connected has failed', async () => {
  upstream.on(PATH, (_request, response) => void response.writeHead(200, { 'content-length': CONTENT.length }).write(CONTENT.subarray(0, 300_000)))
  using impatient = newClient(300)
  await using running = new FileDownloads({ client: impatient, store: blobs, maxBytes: 1e9 })
  const download = running.of(wanted())
  expect((await download.beyond(0)).kind).toBe('partial')
  await expect(download.beyond(CONTENT.length - 1)).rejects.toMatchObject({ kind: 'upstream-failed' })
})

test('who has other rights at the upstream, or expects something else, starts a download of his own', async () => {
  upstream.on(PATH, (request, response) => {
    if (request.headers.authorization === undefined) response.writeHead(401).end()
    else response.end(CONTENT)
  })
  await using running = downloads()
  const url = new URL(upstream.url)
  const ours = running.of(wanted({ upstream: { url, credentials: { username: 'me', password: 'secret' } } }))
  expect(running.of(wanted({ owner: 'alice/other', upstream: { url, credentials: { username: 'me', password: 'secret' } } }))).toBe(ours)
  const theirs = running.of(wanted({ owner: 'mallory/mirror' }))
  await expect(theirs.beyond(0)).rejects.toMatchObject({ kind: 'upstream-failed', message: expect.stringContaining('401') as string })
  const lied = running.of(wanted({ sha256: '0'.repeat(64), upstream: { url, credentials: { username: 'me', password: 'secret' } } }))
  await expect(lied.beyond(CONTENT.length - 1)).rejects.toMatchObject({ kind: 'upstream-failed' })
  await ours.settled()
  expect((await ours.beyond(0)).kind).toBe('whole')
  expect(running.counts.started).toBe(3)
})

test('each mirror is told what was stored of a file without a digest', async () => {
  upstream.on(PATH, (_request, response) => void response.end(CONTENT))
  await using running = downloads()
  const told: string[] = []
  const owners = ['alice/mirror', 'alice/mirror', 'bob/mirror']
  const all = owners.map((owner) => running.of(withoutDigest({ owner, onStored: async () => { told.push(owner) } })))
  await Promise.all(all.map((download) => download.settled()))
  expect(told.sort()).toEqual(['alice/mirror', 'bob/mirror'])
})

test('however many files come slowly from a server, its pages still come, and the files one after the other', async () => {
  const names = Array.from({ length: 40 }, (_, at) => `/files/${at}.zip`)
  let goOn = (): void => undefined
  const told = new Promise<void>((resolve) => { goOn = resolve })
  for (const name of names) {
    upstream.on(name, async (_request, response) => {
      response.writeHead(200, { 'content-length': name.length }).write(name.slice(0, 3))
      await told
      response.end(name.slice(3))
    })
  }
  upstream.project('demo', [])
  await using running = downloads()
  const all = names.map((name) => running.of({ ...withoutDigest(), url: upstream.origin + name }))
  await Promise.all(all.slice(0, 24).map(({ announcedSize }) => announcedSize))
  const page = await fetchProjectPage(client, { upstream: { url: new URL(upstream.url) }, project: 'demo', validators: {}, signal: AbortSignal.timeout(5000) })
  expect(page.kind).toBe('page')
  expect(upstream.asked).toHaveLength(24 + 1)
  goOn()
  const found = await Promise.all(all.map((download) => download.beyond(Infinity)))
  expect(found.every(({ kind }) => kind === 'whole')).toBe(true)
  expect(upstream.asked).toHaveLength(40 + 1)
})

test('what waits for its turn is given up when the server stops, and its place goes to nobody', async () => {
  const slots = new DownloadSlots(1)
  const stop = new AbortController()
  const first = await slots.take(upstream.url, stop.signal)
  const second = slots.take(upstream.url, stop.signal)
  const third = slots.take(upstream.url, new AbortController().signal)
  stop.abort(new Error('stopping'))
  await expect(second).rejects.toThrow('stopping')
  first[Symbol.dispose]()
  const taken = await third
  taken[Symbol.dispose]()
  using again = await slots.take(upstream.url, AbortSignal.timeout(5000))
  expect(again).toBeDefined()
})
