import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { askAll, getRequest, median, once, percentile } from './load.js'
import { type Listening, startBare, startServerUnderTest } from './processes.js'
import { atLeast, atMost, type BenchOptions, type Row, told } from './row.js'
import { AUTH, BenchState } from './state.js'
import { uploadRequests } from './upload-requests.js'

const WHEEL_BYTES = 50_000

/** Uploads that are acknowledged after the sync, against a handler that keeps no log. */
export async function benchUploads({ folder, quick }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'server')
  await (await BenchState.create(serverDir, { dev: {} }))[Symbol.asyncDispose]()
  await using server = await startServerUnderTest(serverDir)
  await using bare = await startBare(folder)
  await using logging = await startBare(folder, 'logging')
  const count = quick ? 40 : 400
  const rounds = quick ? 1 : 5
  let project = 0
  const rateOf = async (port: number, clients: number) => askAll(port, uploadRequests(`p${(project += 1)}`, count, WHEEL_BYTES), clients)

  await rateOf(server.port, 8)
  await rateOf(bare.port, 8)
  await rateOf(logging.port, 8)
  const ratios: number[] = []
  const loggings: number[] = []
  const shares: number[] = []
  const tails: number[] = []
  let rate = 0
  for (let round = 0; round < rounds; round += 1) {
    const eight = await rateOf(server.port, 8)
    const other = await rateOf(bare.port, 8)
    const withLog = await rateOf(logging.port, 8)
    const one = await rateOf(server.port, 1)
    loggings.push(withLog.requestsPerSecond / other.requestsPerSecond)
    ratios.push(eight.requestsPerSecond / other.requestsPerSecond)
    shares.push(eight.requestsPerSecond / one.requestsPerSecond)
    tails.push(percentile(eight.latenciesMs, 0.99) / percentile(eight.latenciesMs, 0.5))
    rate = eight.requestsPerSecond
  }
  return [
    atLeast(`uploads of 50 KB, 8 clients: share of bare (${rate.toFixed(0)}/s)`, 0.6, median(ratios)),
    told('the same of the bare handler when it also syncs rows to LevelDB, in batches', median(loggings).toFixed(2)),
    atLeast('uploads, 8 clients as multiple of one', 1, median(shares)),
    atMost('uploads, p99 as multiple of p50', 10, median(tails), ''),
    await batchRow(server),
    await laterUploads(server, quick),
  ]
}

async function batchRow(server: Listening): Promise<Row> {
  const { body } = await once(server.port, getRequest('/+status', { Accept: 'application/json', Authorization: AUTH }))
  const { result } = JSON.parse(body.toString()) as { result: { metrics: [string, string, number][] } }
  const metric = (name: string): number => result.metrics.find(([found]) => found === name)?.[2] ?? NaN
  return atLeast('entries per synced batch', 1, metric('devpi_server_log_entries') / metric('devpi_server_log_batches'))
}

/** One client, so that nothing waits for anything else. */
async function laterUploads(server: Listening, quick: boolean): Promise<Row> {
  const total = quick ? 200 : 5000
  const sample = quick ? 20 : 100
  const requests = uploadRequests('growing', total, 2000)
  const early: number[] = []
  const late: number[] = []
  for (const [at, upload] of requests.entries()) {
    const { latenciesMs } = await askAll(server.port, [upload], 1)
    if (at >= 10 && at < 10 + sample) early.push(latenciesMs[0] ?? NaN)
    if (at >= total - sample) late.push(latenciesMs[0] ?? NaN)
  }
  return atMost(`upload ${total} to a project, as multiple of the 10th`, 1.2, median(late) / median(early), '', 2)
}

/** How much the log grows. */
export async function benchLogSize({ folder }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'server')
  await (await BenchState.create(serverDir, { dev: {} }))[Symbol.asyncDispose]()
  {
    await using server = await startServerUnderTest(serverDir)
    await askAll(server.port, uploadRequests('sized', 200, 2000), 8)
  }
  const { logSizes } = await import('./log-size.js')
  const { entryBytes, envelopeBytes, metadataBytes } = await logSizes(serverDir)
  const files = await readdir(join(serverDir, 'db'))
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(serverDir, 'db', file))).size))
  return [
    atMost('envelope of an entry', 200, envelopeBytes, 'bytes', 0),
    told('log entry of an uploaded file, its metadata aside', `${(entryBytes - metadataBytes).toFixed(0)} bytes`),
    told('log entry of an uploaded file, as a whole', `${entryBytes.toFixed(0)} bytes`),
    told('database on disk after 200 uploads', `${(sizes.reduce((a, b) => a + b, 0) / 1024).toFixed(0)} KiB`),
  ]
}
