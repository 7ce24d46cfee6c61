import { createHash } from 'node:crypto'
import events from 'node:events'
import { createWriteStream } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { keys } from '#log-format/keys.js'
import { Client, getRequest, hammer, median, once } from './load.js'
import { type Listening, startBare, startServerUnderTest, startUpstream } from './processes.js'
import { atLeast, atMost, type BenchOptions, type Row, told } from './row.js'
import { BenchState } from './state.js'

const MB = 1024 * 1024
const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
const CONNECTIONS = 4

interface Servers {
  readonly server: Listening
  readonly upstream: Listening
  readonly bare: Listening
  readonly quick: boolean
  readonly folder: string
}

/** Pages and files of an upstream, through an index that inherits from a mirror of it. */
export async function benchMirrors({ folder, quick }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'server')
  const hugeMb = quick ? 8 : 100
  await using upstream = await startUpstream(hugeMb)
  {
    await using state = await BenchState.create(serverDir, { dev: {}, child: { bases: ['alice/mirror'] } })
    await state.addProject('dev', 'slim-0', 50)
    await state.change((tx) => {
      tx.set(keys.index({ user: 'alice', index: 'mirror' }), { type: 'mirror', created: 1, volatile: false, mirror_url: `http://127.0.0.1:${upstream.port}/simple/` })
      tx.record({ kind: 'index-created', user: 'alice', index: 'mirror', settings: {} })
    })
  }
  await using server = await startServerUnderTest(serverDir, ['--allow-private-upstream', '127.0.0.1'])
  await using bare = await startBare(folder)
  const servers = { server, upstream, bare, quick, folder }
  return [await warmRow(servers), await coldRow(servers), ...(await fileRows(servers, hugeMb))]
}

async function warmRow({ server, quick }: Servers): Promise<Row> {
  const rounds = quick ? 1 : 7
  const options = { connections: CONNECTIONS, ms: quick ? 200 : 1000 }
  const [mirrored, own] = [pageOf('alice/child', 'slim-0'), pageOf('alice/dev', 'slim-0')]
  const ratios: number[] = []
  let rate = 0
  for (let round = 0; round <= rounds; round += 1) {
    rate = await hammer(server.port, mirrored, options)
    ratios.push(rate / (await hammer(server.port, own, options)))
  }
  return atLeast(`warm page through a child of a mirror: share of a private page (${rate.toFixed(0)}/s)`, 0.9, median(ratios.slice(1)))
}

/** The first ones warm up: a server that has been up for a minute has compiled what it does. */
async function coldRow({ server, upstream, quick }: Servers): Promise<Row> {
  const rounds = quick ? 2 : 20
  const client = await Client.open(server.port)
  const direct = await Client.open(upstream.port)
  const extra: number[] = []
  let size = 0
  for (let round = 0; round < rounds; round += 1) {
    const path = `/simple/wide-${round}/`
    await direct.ask(getRequest(path)) // it makes the page when it is asked for first
    const theirs = await direct.ask(getRequest(path))
    const ours = await client.ask(pageOf('alice/child', `wide-${round}`))
    if (ours.status !== 200) throw new Error(`the cold page was answered with ${ours.status}: ${ours.body.toString()}`)
    extra.push(ours.totalMs - theirs.totalMs)
    size = theirs.body.length
  }
  client.close()
  direct.close()
  return atMost(`cold page of 3,000 files (${(size / MB).toFixed(1)} MB), more than its upstream takes`, 150, median(extra.slice(rounds >> 1)), 'ms')
}

async function fileRows({ server, upstream, bare, quick, folder }: Servers, hugeMb: number): Promise<Row[]> {
  const rounds = quick ? 2 : 9
  const size = hugeMb * MB
  const shares: Record<'ours' | 'installed' | 'relayed' | 'kept', number[]> = { ours: [], installed: [], relayed: [], kept: [] }
  for (let round = 0; round < rounds; round += 1) {
    const path = await fileOf(server, `huge-${round}`)
    const source = `/huge/huge-${round}`
    const pathForInstaller = await fileOf(server, `huge-${rounds + round}`)
    const relay = `/relay?url=http://127.0.0.1:${upstream.port}${source}`
    const direct = await download(upstream.port, source, size)
    shares.ours.push(direct / (await download(server.port, path, size)))
    shares.installed.push(await shareForInstaller(round, { direct: [upstream.port, source], ours: [server.port, pathForInstaller] }, size, folder))
    shares.relayed.push(direct / (await download(bare.port, relay, size)))
    shares.kept.push(direct / (await download(bare.port, `${relay}&keeping`, size)))
  }
  const path = await fileOf(server, 'huge-many')
  const before = server.rssBytes()
  let most = 0
  const watching = setInterval(() => (most = Math.max(most, server.rssBytes())), 20)
  await Promise.all(Array.from({ length: 50 }, () => download(server.port, path, size)))
  clearInterval(watching)
  return [
    atLeast(`cold file of ${hugeMb} MB: share of its upstream`, 0.7, median(shares.ours.slice(1))),
    atLeast('the same for a client that hashes and writes the file, as installers do', 0.7, median(shares.installed.slice(1))),
    told('the same of a bare relay that passes it on', median(shares.relayed.slice(1)).toFixed(2)),
    told('the same of a bare relay that hashes and writes it as well', median(shares.kept.slice(1)).toFixed(2)),
    atMost(`memory that 50 downloads of a cold file of ${hugeMb} MB add`, 64, (most - before) / MB, 'MB'),
  ]
}

function pageOf(index: string, project: string): Buffer {
  return getRequest(`/${index}/+simple/${project}/`, { Accept: JSON_TYPE, 'User-Agent': 'pip/25.0' })
}

async function fileOf(server: Listening, project: string): Promise<string> {
  const { status, body } = await once(server.port, pageOf('alice/child', project))
  if (status !== 200) throw new Error(`the page of ${project} was answered with ${status}: ${body.toString()}`)
  const { files } = JSON.parse(body.toString()) as { files: { url: string }[] }
  return new URL(files[0]?.url ?? '', `http://localhost/alice/child/+simple/${project}/`).pathname
}

interface Place {
  readonly direct: readonly [port: number, path: string]
  readonly ours: readonly [port: number, path: string]
}

/** Takes turns in which comes first, as each leaves the disk something to write. */
async function shareForInstaller(round: number, { direct, ours }: Place, size: number, folder: string): Promise<number> {
  const load = ([port, path]: Place['ours']): Promise<number> => downloadAsInstaller(port, path, size, folder)
  if (round % 2 === 0) return (await load(direct)) / (await load(ours))
  const oursMs = await load(ours)
  return (await load(direct)) / oursMs
}

/** As `download`, with what an installer does with the bytes: it checks their digest and keeps them in a file. */
async function downloadAsInstaller(port: number, path: string, size: number, folder: string): Promise<number> {
  const start = performance.now()
  const hash = createHash('sha256')
  const [response] = (await events.once(get({ port, path }), 'response')) as [IncomingMessage]
  let received = 0
  response.on('data', (chunk: Buffer) => {
    received += chunk.length
    hash.update(chunk)
  })
  await pipeline(response, createWriteStream(join(folder, 'installed.whl'), { highWaterMark: MB }))
  if (received !== size) throw new Error(`only ${received} bytes came`)
  hash.digest()
  return performance.now() - start
}

/** Reads a file and throws it away; resolves to the ms that it took. */
function download(port: number, path: string, size: number): Promise<number> {
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let received = 0
    socket.on('connect', () => socket.write(getRequest(path)))
    socket.on('data', (chunk) => {
      received += chunk.length
      if (received < size) return
      socket.destroy()
      resolve(performance.now() - start)
    })
    socket.on('error', reject)
    socket.on('close', () => { reject(new Error(`only ${received} bytes came`)) })
  })
}
