import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { keys } from '#log-format/keys.js'
import { mostMemory, uploadHuge } from './huge-upload.js'
import { type Listening, startBare, startServerUnderTest } from './processes.js'
import { Client, getRequest, hammer, median, once } from './load.js'
import { atLeast, atMost, type BenchOptions, type Row } from './row.js'
import { BenchState } from './state.js'

const MB = 1024 * 1024

/** Downloads against the best of three bare ways to send the same file; memory while many download and one uploads. */
export async function benchFiles({ folder, quick }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'server')
  const hugeBytes = (quick ? 64 : 2048) * MB
  const paths: Record<string, string> = {}
  {
    await using state = await BenchState.create(serverDir, { dev: {} })
    for (const [name, size] of [['small', 100_000], ['large', 20 * MB]] as const) paths[name] = await addFile(state, `${name}-1.0.bin`, randomBytes(size))
  }
  await using server = await startServerUnderTest(serverDir)
  const rounds = quick ? 1 : 7
  const rows: Row[] = []
  for (const [name, least, what] of [['small', 0.8, '100 KB'], ['large', 0.9, '20 MB']] as const) {
    rows.push(await compare(`file of ${what}`, least, { folder, server, path: paths[name] ?? '', rounds, ms: quick ? 200 : 1500 }))
  }
  const before = server.rssBytes()
  rows.push(await whileDownloading(server, paths['large'] ?? '', before))
  rows.push(...(await uploadAndRead(server, hugeBytes)))
  return rows
}

async function addFile(state: BenchState, basename: string, bytes: Buffer): Promise<string> {
  using blob = await state.blobs.putBytes(bytes)
  const { sha256, size } = blob
  const [dirA, dirB] = [sha256.slice(0, 3), sha256.slice(3, 16)]
  await state.change((tx) => {
    tx.set(keys.link({ user: 'alice', index: 'dev', project: 'p', version: '1.0', basename }), { rel: 'releasefile', sha256, size, dir: `${dirA}/${dirB}`, time: 1, order: 1, log: [] })
    tx.set(keys.file({ user: 'alice', index: 'dev', dirA, dirB, basename }), { sha256, size, lastModified: 1, project: 'p', versions: ['1.0'] })
    tx.record({ kind: 'file-uploaded', user: 'alice', index: 'dev', project: 'p', version: '1.0', file: basename, sha256, size })
  })
  return `/alice/dev/+f/${dirA}/${dirB}/${basename}`
}

interface Comparison {
  readonly folder: string
  readonly server: Listening
  readonly path: string
  readonly rounds: number
  readonly ms: number
}

async function compare(what: string, least: number, { folder, server, path, rounds, ms }: Comparison): Promise<Row> {
  const { headers, body } = await once(server.port, getRequest(path))
  const own = new Set(['date', 'connection', 'keep-alive'])
  await writeFile(join(folder, 'file.json'), JSON.stringify(headers.flatMap((name, at) => (at % 2 === 0 && !own.has(name.toLowerCase()) ? [name, headers[at + 1] ?? ''] : []))))
  await writeFile(join(folder, 'file.bin'), body)
  await using bare = await startBare(folder)
  const variants = ['memory', 'whole', 'stream']
  const ratios: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const ours = await hammer(server.port, getRequest(path), { connections: 4, ms })
    let best = 0
    for (const how of variants) best = Math.max(best, await hammer(bare.port, getRequest(`/file?how=${how}`), { connections: 4, ms: ms / 2 }))
    ratios.push(ours / best)
  }
  return atLeast(`${what}: share of the best bare variant`, least, median(ratios))
}

async function whileDownloading(server: Listening, path: string, before: number): Promise<Row> {
  const most = await mostMemory(server, () => Promise.all(Array.from({ length: 50 }, () => slowly(server.port, path))))
  return atMost('memory that 50 downloads of 20 MB add', 64, (most - before) / MB, 'MB')
}

/** Reads a file and throws it away. */
function slowly(port: number, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let received = 0
    socket.on('connect', () => socket.write(getRequest(path, { Connection: 'close' })))
    socket.on('data', (chunk) => (received += chunk.length))
    socket.on('error', reject)
    socket.on('close', () => {
      if (received > 20 * MB) resolve()
      else reject(new Error(`only ${received} bytes came`))
    })
  })
}

async function uploadAndRead(server: Listening, size: number): Promise<Row[]> {
  const before = server.rssBytes()
  let path = ''
  const most = await mostMemory(server, async () => (path = await uploadHuge(server.port, size)))
  const client = await Client.open(server.port)
  const times: number[] = []
  for (let round = 0; round < 9; round += 1) {
    const { status, totalMs } = await client.ask(getRequest(path, { Range: `bytes=${size - 5000 - round * 100_000}-${size - 5000 - round * 100_000 + 1023}` }))
    if (status !== 206) throw new Error(`the range was answered with ${status}`)
    times.push(totalMs)
  }
  client.close()
  const what = `${size / MB} MB`
  return [
    atMost(`memory that an upload of ${what} adds`, 64, (most - before) / MB, 'MB'),
    atMost(`range of 1 KB out of ${what}`, 5, median(times), 'ms'),
  ]
}
