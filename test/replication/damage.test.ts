import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type OutgoingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ChainHead, digestHex, EMPTY_CHAIN, extendChain } from '#log-format/chain.js'
import { encodeEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { CHANGELOG_TYPE, frameHeader } from '#log-format/framing.js'
import { nextSerial } from '#log-format/serial.js'
import { startReplica, until } from '#test/support/replica.js'
import type { TestServer } from '#test/support/server.js'

const PRIMARY = 'ab'.repeat(16)

type Step = Pick<Entry, 'mutation' | 'changes'>

/** Frames of a log in which these things happened. */
function framesOf(steps: readonly Step[]): { readonly frames: Buffer[]; readonly heads: readonly ChainHead[] } {
  const heads: ChainHead[] = []
  let head = EMPTY_CHAIN
  const frames = steps.map((step) => {
    const entry: Entry = { ...step, serial: nextSerial(head.serial), parent: head.digest, epoch: 0, time: 1, actor: '+system', via: 'system', request: 'test' }
    const bytes = encodeEntry(entry)
    head = extendChain(head, entry, bytes)
    heads.push(head)
    return Buffer.concat([frameHeader(bytes, head.digest), bytes])
  })
  return { frames, heads }
}

const user = (name: string): Step => ({ mutation: { kind: 'user-created', user: name }, changes: [{ path: `${name}/.config`, value: { created: 1 } }] })

interface Answer {
  readonly status?: number
  readonly headers?: OutgoingHttpHeaders
  readonly body: Buffer
}

/** A replica of something that answers each request for the log with the next answer, and all others with the last one, and goes on sending nothing. */
async function replicaOf(answers: Answer | readonly [Answer, Answer], run: (replica: TestServer) => Promise<void>): Promise<void> {
  const serverDir = await mkdtemp(join(tmpdir(), 'devpi-fake-primary-'))
  await writeFile(join(serverDir, '.secret'), randomBytes(32).toString('base64'), { mode: 0o600 })
  const left = [answers].flat()
  const primary = createServer((req, reply) => {
    const answer = (left.length > 1 && req.url?.startsWith('/+changelog/') === true ? left.shift() : left.at(-1)) ?? { body: Buffer.alloc(0) }
    reply.writeHead(answer.status ?? 200, { 'Content-Type': CHANGELOG_TYPE, 'X-DEVPI-UUID': PRIMARY, 'X-DEVPI-PRIMARY-UUID': PRIMARY, 'X-DEVPI-SERIAL': '9', ...answer.headers })
    reply.write(answer.body)
    if (answer.status !== undefined) reply.end()
  })
  primary.listen(0, '127.0.0.1')
  await once(primary, 'listening')
  try {
    await using replica = await startReplica({ url: `http://127.0.0.1:${(primary.address() as AddressInfo).port}`, secretFile: join(serverDir, '.secret') })
    await run(replica)
  } finally {
    primary.close()
    primary.closeAllConnections()
    await rm(serverDir, { recursive: true })
  }
}

const stateOf = (replica: TestServer): string => `${replica.running.follower!.status.state}: ${replica.running.follower!.status.problem ?? ''}`

test('a damaged entry stops the replica with its serial and both digests, and what came before it stays', async () => {
  const { frames, heads } = framesOf([user('alice'), user('bob'), user('carl')])
  const damaged = Buffer.from(frames[1]!)
  damaged[damaged.length - 1]! ^= 1
  const again = { body: Buffer.concat([damaged, frames[2]!]) }
  await replicaOf([{ body: Buffer.concat([frames[0]!, again.body]) }, again], async (replica) => {
    await until(() => replica.running.follower!.status.state === 'stopped')
    expect(stateOf(replica)).toMatch(/^stopped: entry 1 does not continue the log: its digest here is [0-9a-f]{64}, the one sent with it [0-9a-f]{64}/)
    expect(stateOf(replica)).toContain(digestHex(heads[1]!.digest))
    expect(replica.log.filter((line) => line.includes('entry 1 does not continue') && line.includes('followed no further'))).toHaveLength(1)
    expect(replica.head()).toBe(0)
    expect((await replica.fetch('/alice', { headers: { Accept: 'application/json' } })).status).toBe(200)
  })
})

test.each<[string, (frames: readonly Buffer[]) => Buffer[], number]>([
  ['twice', ([one, two, three]) => [one!, two!, two!, three!], 2],
  ['twice, all of them', (frames) => [...frames, ...frames], 3],
  ['twice in part', ([one, two, three]) => [one!, two!, two!.subarray(0, 60), three!], 0], // of a piece that cannot be read nothing is taken
  ['not at all', ([one, , three]) => [one!, three!], 1],
  ['damaged on the way', ([one, two, three]) => [one!, Buffer.concat([two!.subarray(0, -1), Buffer.from([two!.at(-1)! ^ 1])]), three!], 1],
])('an entry that comes %s is asked for anew, and no entry is taken twice', async (_, spoilt, taken) => {
  const { frames, heads } = framesOf([user('alice'), user('bob'), user('carl')])
  await replicaOf([{ status: 200, body: Buffer.concat(spoilt(frames)) }, { body: Buffer.concat(frames.slice(taken)) }], async (replica) => {
    await until(() => replica.head() === 2)
    await until(() => replica.running.follower!.status.state === 'following')
    expect(digestHex(replica.running.storage.head.digest)).toBe(digestHex(heads[2]!.digest))
    expect(replica.running.storage.writeCounts.entries).toBe(3)
  })
})

test('mutations and keys of a newer release are carried, and what is known of them is served', async () => {
  const foreign: Step = {
    mutation: { kind: 'moon-landed', user: 'alice', crew: [{ name: 'nina' }] },
    changes: [{ path: 'alice/+moon', value: { flags: 2 } }, { path: '+shrines/{odd}', value: [null, 1.5] }, { path: 'alice/.config', value: { created: 1, title: 'pilot', shoes: 'size 11' } }],
  }
  const { frames, heads } = framesOf([user('alice'), foreign, { mutation: { kind: 'moon-left' }, changes: [{ path: 'alice/+moon', value: undefined }] }])
  await replicaOf({ body: Buffer.concat(frames) }, async (replica) => {
    await until(() => replica.head() === 2)
    expect(digestHex(replica.running.storage.head.digest)).toBe(digestHex(heads[2]!.digest))
    const reply = await replica.fetch('/alice', { headers: { Accept: 'application/json' } })
    expect([reply.status, await reply.json()]).toMatchObject([200, { result: { username: 'alice', title: 'pilot' } }])
    expect((await replica.fetch('/+changes', { headers: { Accept: 'application/json' } })).status).toBe(200)
    expect(stateOf(replica)).toBe('following: ')
  })
})

test.each<[string, Answer, string]>([
  ['a page', { status: 200, headers: { 'Content-Type': 'text/html' }, body: Buffer.from('<h1>hello</h1>') }, 'what answers is no server of this kind'],
  ['a redirect', { status: 302, headers: { Location: 'http://127.0.0.1:9/' }, body: Buffer.alloc(0) }, 'it answers 302'],
  ['a failure without words', { status: 500, body: randomBytes(9000) }, 'it answers 500'],
  ['a failure with control characters', { status: 503, headers: { 'Content-Type': 'application/json' }, body: Buffer.from('{"message": "down\\n\\u001b[31mfor now"}') }, 'it answers 503: down [31mfor now'],
  ['a uuid that is none', { status: 200, headers: { 'X-DEVPI-PRIMARY-UUID': '../..' }, body: Buffer.alloc(0) }, 'what answers is no server of this kind'],
  ['no uuid', { status: 200, headers: { 'X-DEVPI-PRIMARY-UUID': '' }, body: Buffer.alloc(0) }, 'it is a replica that has not reached its own primary yet'],
  ['nothing at all', { status: 200, body: Buffer.alloc(0) }, 'its reply ended before it said anything'],
  ['noise', { body: Buffer.alloc(100, 0xff) }, 'a frame of 4294967295 bytes at stream offset 0'],
  ['half an entry', { status: 200, body: framesOf([user('alice')]).frames[0]!.subarray(0, 50) }, 'its reply was cut off within an entry'],
])('%s instead of the log is told, and tried again', async (_, answer, problem) => {
  await replicaOf(answer, async (replica) => {
    await until(() => replica.running.follower!.status.problem !== undefined)
    expect(stateOf(replica)).toBe(`connecting: ${problem}`)
    expect(replica.head()).toBe(-1)
    await until(() => replica.log.filter((line) => line.includes('it is tried again')).length > 1)
  })
})
