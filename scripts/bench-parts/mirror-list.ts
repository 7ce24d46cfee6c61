import { once as onceEmitted } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { keys } from '#log-format/keys.js'
import { getRequest, headerOf, median, once } from './load.js'
import { type Listening, startServerUnderTest } from './processes.js'
import { atMost, type BenchOptions, type Row, told } from './row.js'
import { BenchState } from './state.js'

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
const MIB = 1024 * 1024

/** The list of all names of a large upstream: taken over once, then served and revalidated. */
export async function benchMirrorList({ folder, quick }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'server')
  const count = quick ? 10_000 : 800_000
  const upstream = await startUpstream(count)
  try {
    const { port } = upstream.address() as AddressInfo
    {
      await using state = await BenchState.create(serverDir, { dev: { bases: ['alice/mirror'] } })
      await state.change((tx) => {
        tx.set(keys.index({ user: 'alice', index: 'mirror' }), { type: 'mirror', created: 1, volatile: true, mirror_url: `http://127.0.0.1:${port}/simple/` })
        tx.record({ kind: 'index-created', user: 'alice', index: 'mirror', settings: {} })
      })
    }
    await using server = await startServerUnderTest(serverDir, ['--allow-private-upstream', '127.0.0.1'])
    return await measure(server, count)
  } finally {
    upstream.close()
    upstream.closeAllConnections()
  }
}

async function measure(server: Listening, count: number): Promise<Row[]> {
  const what = `list of ${count.toLocaleString('en')} upstream names`
  const wanted = getRequest('/alice/dev/+simple/', { Accept: JSON_TYPE })
  const ping = getRequest('/+api', { Accept: 'application/json' })
  await once(server.port, ping)
  const before = server.rssBytes()
  const memory = setInterval(() => { most = Math.max(most, server.rssBytes()) }, 20)
  let most = before
  let isOver = false
  const cold = once(server.port, wanted).finally(() => { isOver = true })
  const others: number[] = []
  while (!isOver) others.push((await once(server.port, ping)).totalMs)
  const { firstByteMs, body } = await cold
  const found = body.toString().split('"name"').length - 1
  if (found !== count) throw new Error(`the list has ${found} names instead of ${count}`)

  const warm: number[] = []
  let etag = ''
  for (let round = 0; round < 5; round += 1) {
    const reply = await once(server.port, wanted)
    warm.push(reply.firstByteMs)
    etag = headerOf(reply.headers, 'etag') ?? ''
  }
  clearInterval(memory)
  const conditional = getRequest('/alice/dev/+simple/', { Accept: JSON_TYPE, 'If-None-Match': etag })
  const unchanged: number[] = []
  for (let round = 0; round < 9; round += 1) unchanged.push((await once(server.port, conditional)).totalMs)
  return [
    atMost(`${what}, import`, 30, firstByteMs / 1000, 's'),
    atMost(`${what}, memory of the server while it is imported and served`, 300, most / MIB, 'MiB'),
    told(`${what}, longest wait of another request meanwhile`, `${Math.max(...others).toFixed(1)} ms`),
    atMost(`${what}, first byte`, 50, median(warm), 'ms'),
    atMost(`${what}, 304`, 5, median(unchanged), 'ms'),
  ]
}

/** Lists made-up names in no order. */
async function startUpstream(count: number): Promise<Server> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': JSON_TYPE, etag: '"1"' })
    Readable.from(listText(count)).pipe(response)
  })
  server.listen(0, '127.0.0.1')
  await onceEmitted(server, 'listening')
  return server
}

function* listText(count: number): Generator<string> {
  let portion = '{"meta":{"api-version":"1.1"},"projects":['
  for (let at = 0; at < count; at += 1) {
    portion += `${at === 0 ? '' : ','}{"_last-serial":${20_000_000 + at},"name":"${((at * 2_654_435_761) % 2 ** 32).toString(36)}-project-${at}"}`
    if (portion.length < 65_536) continue
    yield portion
    portion = ''
  }
  yield `${portion}]}`
}
