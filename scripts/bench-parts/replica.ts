import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { FeedWatch } from './feed-watch.js'
import { registerVersions } from './fold.js'
import { mostMemory, uploadHuge } from './huge-upload.js'
import { Client, getRequest, headerOf, median, percentile } from './load.js'
import { type Listening, startReplicaUnderTest, startServerUnderTest } from './processes.js'
import { atLeast, atMost, type BenchOptions, type Row, told } from './row.js'
import { BenchState } from './state.js'
import { uploadRequests } from './upload-requests.js'

const MB = 1024 * 1024
const IDLE_REPLICAS = 50
const WRITES_PER_SECOND = 100

/** A primary and a replica, each a process on this machine. */
export async function benchReplica({ folder, quick }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'primary')
  {
    await using state = await BenchState.create(serverDir, { dev: {} })
    await registerVersions(state.storage, quick ? 5000 : 100_000)
  }
  await using primary = await startServerUnderTest(serverDir)
  const rows: Row[] = [await fromSnapshot(folder, { port: primary.port, serverDir })]
  const startReplica = (): Promise<Listening> => startReplicaUnderTest(join(folder, 'replica'), { port: primary.port, serverDir })
  {
    await using replica = await startReplica()
    rows.push(...(await catchUp(primary, replica)))
    rows.push(...(await lag({ primary, replica, secretDir: serverDir, writes: quick ? 50 : 1000 })))
  }
  {
    await using replica = await startReplica() // whose memory has not grown by anything else
    rows.push(await relayed(replica, (quick ? 64 : 1024) * MB))
  }
  rows.push(...(await idleReplicas({ primary, secretDir: serverDir, ms: quick ? 1000 : 45_000 })))
  return rows
}

/** A start with a snapshot, until the replica answers with all that the primary has, by what starting on it once more takes. */
async function fromSnapshot(folder: string, primary: { readonly port: number; readonly serverDir: string }): Promise<Row> {
  const head = await headSerial(primary)
  const start = async (): Promise<number> => {
    const begin = performance.now()
    await using replica = await startReplicaUnderTest(join(folder, 'begun'), primary, ['--from-snapshot'])
    if ((await headSerial(replica)) < head) throw new Error('the replica did not begin with the snapshot')
    return performance.now() - begin
  }
  const seconds = ((await start()) - (await start())) / 1000
  return told(`start of a replica with a snapshot of ${(head + 1).toLocaleString('en')} entries, per second`, ((head + 1) / seconds).toFixed(0))
}

/** From the first look at the replica, which may have something by then. */
async function catchUp(primary: Listening, replica: Listening): Promise<Row[]> {
  const head = await headSerial(primary)
  const client = await Client.open(replica.port)
  const [cpuPrimary, cpuReplica] = [primary.cpuMs(), replica.cpuMs()]
  const start = performance.now()
  const first = await serialOf(client)
  while ((await serialOf(client)) < head) await setTimeout(10)
  const seconds = (performance.now() - start) / 1000
  client.close()
  const entries = head - first
  const share = (ms: number): string => ((ms * 1000) / entries).toFixed(0)
  return [
    atLeast(`catch-up of a replica with ${entries.toLocaleString('en')} entries, per second`, 25_000, entries / seconds, 0),
    told('the same, processor time an entry: replica, primary', `${share(replica.cpuMs() - cpuReplica)}, ${share(primary.cpuMs() - cpuPrimary)} µs`),
  ]
}

interface Lag {
  readonly primary: Listening
  readonly replica: Listening
  readonly secretDir: string
  readonly writes: number
}

/** How long after the primary, which is when it may send it, the replica has an entry: both are followed. */
async function lag({ primary, replica, secretDir, writes }: Lag): Promise<Row[]> {
  const from = (await headSerial(primary)) + 1
  await using atPrimary = await FeedWatch.open({ port: primary.port, secretDir, from })
  await using atReplica = await FeedWatch.open({ port: replica.port, secretDir, from })
  const start = performance.now()
  const serials = await writeEvenly(primary.port, writes)
  const rate = (writes * 1000) / (performance.now() - start)
  const times: number[] = []
  for (const serial of serials) times.push(Math.max(0, (await atReplica.arrival(serial)) - (await atPrimary.arrival(serial))))
  const ascending = times.sort((a, b) => a - b)
  return [
    atMost(`lag of a replica at ${rate.toFixed(0)} uploads/s, p99`, 250, percentile(ascending, 0.99), 'ms'),
    told('the same, median', `${median(ascending).toFixed(1)} ms`),
  ]
}

/** Each upload at its own time, whatever the others take; their serials. */
async function writeEvenly(port: number, writes: number): Promise<number[]> {
  const requests = uploadRequests('even', writes, 2000)
  const serials: number[] = []
  const start = performance.now()
  let next = 0
  await Promise.all(Array.from({ length: 16 }, async () => {
    const client = await Client.open(port)
    for (let at = next++; at < writes; at = next++) {
      const upload = requests[at]
      if (upload === undefined) break
      await setTimeout(Math.max(0, start + (at * 1000) / WRITES_PER_SECOND - performance.now()))
      const { status, headers } = await client.ask(upload)
      if (status !== 200) throw new Error(`an upload was answered with ${status}`)
      serials.push(Number(headerOf(headers, 'x-devpi-serial')))
    }
    client.close()
  }))
  return serials
}

async function relayed(replica: Listening, size: number): Promise<Row> {
  await uploadHuge(replica.port, MB) // what it takes to relay anything is no part of it
  const before = replica.rssBytes()
  const added: number[] = []
  for (let round = 0; round < 3; round += 1) added.push((await mostMemory(replica, () => uploadHuge(replica.port, size))) - before)
  return atMost(`memory that a relayed upload of ${size / MB} MB adds to the replica`, 64, median(added) / MB, 'MB')
}

interface Idle {
  readonly primary: Listening
  readonly secretDir: string
  /** Longer than a stream lasts, so that every replica asks for the next one. */
  readonly ms: number
}

/** Connections to the feed that only read; nothing is written meanwhile. */
async function idleReplicas({ primary, secretDir, ms }: Idle): Promise<Row[]> {
  const from = (await headSerial(primary)) + 1
  await setTimeout(ms / 10) // what the upload has left behind is settled
  const before = primary.rssBytes()
  const watches = await Promise.all(Array.from({ length: IDLE_REPLICAS }, () => FeedWatch.open({ port: primary.port, secretDir, from })))
  const cpu = primary.cpuMs()
  const start = performance.now()
  const most = await mostMemory(primary, () => setTimeout(ms))
  const share = (primary.cpuMs() - cpu) / (performance.now() - start)
  await Promise.all(watches.map((watch) => watch[Symbol.asyncDispose]()))
  return [
    atMost(`processor that ${IDLE_REPLICAS} idle replicas cost the primary`, 5, share * 100, '%'),
    atMost(`memory that ${IDLE_REPLICAS} idle replicas cost the primary`, 50, (most - before) / MB, 'MB'),
  ]
}

async function headSerial({ port }: { readonly port: number }): Promise<number> {
  const client = await Client.open(port)
  const serial = await serialOf(client)
  client.close()
  return serial
}

/** Of the newest entry that the server has. */
async function serialOf(client: Client): Promise<number> {
  const { headers } = await client.ask(getRequest('/+api', { Accept: 'application/json' }))
  return Number(headerOf(headers, 'x-devpi-serial'))
}
