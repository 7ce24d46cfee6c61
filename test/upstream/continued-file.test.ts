import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { UpstreamClient } from '#server/upstream/client.js'
import type { Download } from '#server/upstream/downloads.js'
import { FileDownloads, type WantedFile } from '#server/upstream/file-download.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import { tempFolder, type TempFolder } from '../storage/temp-storage.js'
import { type Answer, ranged, sha256Of, status, TestUpstream } from '../support/upstream.js'

const CONTENT = Buffer.from(Array.from({ length: 600_000 }, (_, at) => at % 251))
const PATH = '/files/demo.zip'

let folder: TempFolder
let blobs: DiskBlobs
let first: TestUpstream
let second: TestUpstream
let client: UpstreamClient
let running: FileDownloads

beforeEach(async () => {
  folder = await tempFolder()
  blobs = await DiskBlobs.open(join(folder.path, 'files'))
  first = await TestUpstream.start()
  second = await TestUpstream.start()
  client = new UpstreamClient({ hosts: new TargetHosts(['127.0.0.1']), userAgent: 'test', now: () => 0, idleTimeoutMs: 60_000 })
  running = new FileDownloads({ client, store: blobs, maxBytes: 1e9 })
})
afterEach(async () => {
  await running[Symbol.asyncDispose]()
  client[Symbol.dispose]()
  for (const upstream of [first, second]) await upstream[Symbol.asyncDispose]()
  await blobs[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** Sends so many bytes of what is asked for, and ends as if that were all, without having said how much there is: so it is certain that they arrive. */
function breaking(bytes: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const isPart = request.headers.range !== undefined
    response.writeHead(isPart ? 206 : 200, { ...headers, ...(isPart && { 'content-range': `bytes ${start}-${CONTENT.length - 1}/${CONTENT.length}` }) })
    response.flushHeaders()
    response.end(CONTENT.subarray(start, start + bytes))
  }
}

/** Answers one request after the other so, and the last of them on and on. */
function inTurn(...answers: readonly Answer[]): Answer {
  let at = 0
  return (request, response) => {
    const answer = answers[Math.min(at, answers.length - 1)]
    at += 1
    return answer?.(request, response)
  }
}

function wanted(further: Partial<WantedFile> = {}): WantedFile {
  return { upstream: { url: new URL(first.url) }, url: first.origin + PATH, owner: 'alice/mirror', sha256: sha256Of(CONTENT), size: CONTENT.length, ...further }
}

/** What the second upstream has counts as the same file. */
async function* onSecond(): AsyncGenerator<{ readonly upstream: { readonly url: URL; readonly credentials: { readonly username: string; readonly password: string } }; readonly url: string }> {
  yield { upstream: { url: new URL(second.url), credentials: { username: 'me', password: 'there' } }, url: second.origin + PATH }
}

const rangesAt = (upstream: TestUpstream): (string | undefined)[] => upstream.asked.map(({ headers }) => headers.range)
const failureOf = (download: Download): Promise<unknown> => download.whole().then(() => 'none', (error: unknown) => error)

describe('a file that breaks off in the middle', () => {
  test('goes on from the byte reached', async () => {
    first.on(PATH, inTurn(breaking(300_000), ranged(CONTENT)))
    expect(await running.of(wanted()).whole()).toMatchObject({ sha256: sha256Of(CONTENT), size: CONTENT.length })
    expect(rangesAt(first)).toEqual([undefined, 'bytes=300000-'])
    expect((await readFile(blobs.path(sha256Of(CONTENT)))).equals(CONTENT)).toBe(true)
    expect(running.counts).toEqual({ started: 1, failed: 0, continued: 1 })
  })

  test('goes on when the connection is lost, for those who read along', async () => {
    let hangUp = (): void => undefined
    first.on(PATH, inTurn((_request, response) => {
      response.writeHead(200, { 'content-length': CONTENT.length }).write(CONTENT.subarray(0, 300_000))
      hangUp = () => void response.destroy()
    }, ranged(CONTENT)))
    const download = running.of(wanted())
    const { kind } = await download.beyond(0)
    hangUp()
    expect([kind, (await download.beyond(CONTENT.length - 1)).kind]).toEqual(['partial', expect.any(String)])
    expect(await download.whole()).toMatchObject({ sha256: sha256Of(CONTENT) })
    expect(rangesAt(first)).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d*-$/)])
  })

  test('goes on at another place where its own has no more of it, with the credentials of that one', async () => {
    first.on(PATH, inTurn(breaking(200_000), status(503)))
    second.on(PATH, ranged(CONTENT))
    await running.of(wanted({ elsewhere: onSecond })).whole()
    expect([rangesAt(first), rangesAt(second)]).toEqual([[undefined, 'bytes=200000-'], ['bytes=200000-']])
    expect([first, second].map(({ asked }) => asked.at(-1)?.headers.authorization)).toEqual([undefined, `Basic ${Buffer.from('me:there').toString('base64')}`])
  })

  test('goes on three times, and no more', async () => {
    first.on(PATH, breaking(100_000))
    expect(await failureOf(running.of(wanted()))).toMatchObject({ kind: 'upstream-failed', message: expect.stringContaining('not all of it') as string })
    expect(rangesAt(first)).toEqual([undefined, 'bytes=100000-', 'bytes=200000-', 'bytes=300000-'])
    expect(running.counts.failed).toBe(1)
  })

  test('is not asked for again where nothing came', async () => {
    first.on(PATH, breaking(0))
    expect(await failureOf(running.of(wanted()))).toMatchObject({ kind: 'upstream-failed' })
    expect(rangesAt(first)).toEqual([undefined])
  })

  test('is not asked for there again when the rest did not come either, but at the next place', async () => {
    first.on(PATH, inTurn(breaking(100_000), breaking(0)))
    second.on(PATH, ranged(CONTENT))
    await running.of(wanted({ elsewhere: onSecond })).whole()
    expect([rangesAt(first), rangesAt(second)]).toEqual([[undefined, 'bytes=100000-'], ['bytes=100000-']])
  })

  const OTHERS: readonly (readonly [string, Answer])[] = [
    ['all of it again', (_request, response) => void response.writeHead(200, { 'content-length': CONTENT.length }).end(CONTENT)],
    ['an error', status(500)],
    ['another part', (_request, response) => void response.writeHead(206, { 'content-range': `bytes 0-${CONTENT.length - 1}/${CONTENT.length}` }).end(CONTENT)],
    ['the rest of a file of another size', (_request, response) => void response.writeHead(206, { 'content-range': `bytes 100000-${CONTENT.length}/${CONTENT.length + 1}` }).end(CONTENT.subarray(99_999))],
  ]
  test.each(OTHERS)('fails where %s is all that can be had', async (_, answer) => {
    first.on(PATH, inTurn(breaking(100_000), answer))
    expect(await failureOf(running.of(wanted()))).toMatchObject({ kind: 'upstream-failed' })
    expect(first.asked).toHaveLength(2)
    expect(await blobs.stat(sha256Of(CONTENT))).toBeUndefined()
  })

  test('of which another rest comes is not the one announced: its last byte is given to nobody', async () => {
    first.on(PATH, inTurn(breaking(300_000), ranged(Buffer.alloc(CONTENT.length, 'x'))))
    const download = running.of(wanted())
    await expect(download.beyond(CONTENT.length - 1)).rejects.toMatchObject({ kind: 'upstream-failed', message: expect.stringContaining('announced was') as string })
  })
})

test('a file that is not taken any more is asked for no more of, whatever becomes of the connection', async () => {
  first.on(PATH, (_request, response) => void response.writeHead(200).write(CONTENT))
  await using small = new FileDownloads({ client, store: blobs, maxBytes: 100_000 })
  const { size: _, ...unsized } = wanted()
  expect(await failureOf(small.of(unsized))).toMatchObject({ kind: 'upstream-failed' })
  await first.stop() // also of what nobody reads any more
  expect(first.asked).toHaveLength(1)
})

describe('without a digest, a file', () => {
  const undigested = (): WantedFile => {
    const { sha256: _, ...rest } = wanted({ onStored: async () => undefined })
    return rest
  }

  test('goes on if its server says that it is still the same', async () => {
    first.on(PATH, inTurn(breaking(100_000, { etag: '"one"' }), ranged(CONTENT, { etag: '"one"' })))
    expect(await running.of(undigested()).whole()).toMatchObject({ sha256: sha256Of(CONTENT) })
    expect(first.asked.map(({ headers }) => headers['if-range'])).toEqual([undefined, '"one"'])
  })

  test.each([['no', {}], ['only a weak', { etag: 'W/"one"' }]])('does not go on with %s validator', async (_, headers) => {
    first.on(PATH, inTurn(breaking(100_000, { ...headers }), ranged(CONTENT, { ...headers })))
    expect(await failureOf(running.of(undigested()))).toMatchObject({ kind: 'upstream-failed' })
    expect(first.asked).toHaveLength(1)
  })
})

test('without a digest, a file does not go on with the rest of another one, whatever the server makes of If-Range', async () => {
  const { sha256: _, ...undigested } = wanted({ onStored: async () => undefined })
  first.on(PATH, inTurn(breaking(100_000, { etag: '"one"' }), breaking(CONTENT.length, { etag: '"two"' })))
  expect(await failureOf(running.of(undigested))).toMatchObject({ kind: 'upstream-failed' })
  expect(rangesAt(first)).toEqual([undefined, 'bytes=100000-'])
})

test('who has no such other places does not get what comes from them', async () => {
  first.on(PATH, breaking(100_000))
  const ours = running.of(wanted({ elsewhere: onSecond }))
  expect(running.of(wanted({ elsewhere: onSecond }))).toBe(ours)
  expect(running.of(wanted({ owner: 'mallory/mirror', elsewhere: onSecond }))).not.toBe(ours)
  expect(running.of(wanted())).not.toBe(ours)
  for (const download of [ours, running.of(wanted())]) await download.settled()
})
