import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { EventWatch } from './event-watch.js'
import { askAll, Client, getRequest, headerOf, median, percentile, request } from './load.js'
import { startServerUnderTest } from './processes.js'
import { atMost, type BenchOptions, type Row, told } from './row.js'
import { AUTH, BenchState } from './state.js'
import { releaseRequests } from './upload-requests.js'

const FILES = 20
const JSON_HEADERS = { Accept: 'application/json', Authorization: AUTH }

/** What clients of a team do beside installing: push a release, attach test reports, follow what happens. */
export async function benchApi({ folder, quick }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'server')
  {
    await using state = await BenchState.create(serverDir, { dev: {}, prod: { volatile: false } })
    await state.addFiller(quick ? 1000 : 10_000)
  }
  await using server = await startServerUnderTest(serverDir)
  const client = await Client.open(server.port)
  const rounds = quick ? 3 : 30
  const rows = [await pushes(client, server.port, rounds), ...(await toxResults(client, server.port, quick ? 40 : 400)), await changesPage(client, rounds)]
  rows.push(await liveEvents(client, server.port, { what: 'while changes follow each other', project: 'busy', count: quick ? 10 : 200, pauseMs: 0 }))
  rows.push(await liveEvents(client, server.port, { what: 'out of silence', project: 'quiet', count: quick ? 3 : 30, pauseMs: 200 }))
  client.close()
  return rows
}

/** With the verb of the reference client, on one connection, each release in one entry. */
async function pushes(client: Client, port: number, rounds: number): Promise<Row> {
  const times: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const version = `1.${round}`
    await askAll(port, releaseRequests('pushed', version, FILES, 20_000), 4)
    const before = await headSerial(client)
    const { totalMs, body } = await client.ask(request('PUSH', '/alice/dev', JSON_HEADERS, jsonOf({ name: 'pushed', version, targetindex: 'alice/prod' })))
    const { result = [] } = JSON.parse(body.toString()) as { result?: unknown[] }
    const entries = (await headSerial(client)) - before
    if (result.length !== FILES + 1 || entries !== 1) throw new Error(`a push wrote ${entries} entries and said ${body.toString().slice(0, 200)}`)
    times.push(totalMs)
  }
  return atMost(`push of a release of ${FILES} files, in one entry`, 50, median(times), 'ms')
}

async function toxResults(client: Client, port: number, count: number): Promise<Row[]> {
  await askAll(port, releaseRequests('tested', '1.0', 1, 20_000), 1)
  const { body } = await client.ask(getRequest('/alice/dev/tested/1.0', JSON_HEADERS))
  const href = (JSON.parse(body.toString()) as { result: { '+links': { href: string }[] } }).result['+links'][0]?.href ?? ''
  const reports = Array.from({ length: count }, (_, at) => request('POST', new URL(href).pathname, JSON_HEADERS, jsonOf(toxReport(at))))
  const one = await askAll(port, reports.slice(0, count / 4), 1)
  const eight = await askAll(port, reports, 8)
  return [
    told('tox results of 20 KB, one client: median', `${percentile(one.latenciesMs, 0.5).toFixed(1)} ms`),
    told('tox results of 20 KB on one file, 8 clients', `${eight.requestsPerSecond.toFixed(0)}/s`),
  ]
}

async function changesPage(client: Client, rounds: number): Promise<Row> {
  const times: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const { totalMs, body } = await client.ask(getRequest('/+changes?user=alice&limit=1000', JSON_HEADERS))
    times.push(totalMs)
    if (round === 0 && !body.toString().includes('file-uploaded')) throw new Error('the page of changes has no upload')
  }
  return told('changes of one user, JSON page of up to 1,000', `${median(times).toFixed(1)} ms`)
}

interface Following {
  readonly what: string
  readonly project: string
  readonly count: number
  /** Silence before each change: a stream rests between two looks while changes follow each other. */
  readonly pauseMs: number
}

/** How long after the answer to who made a change it is there for who listens. */
async function liveEvents(client: Client, port: number, { what, project, count, pauseMs }: Following): Promise<Row> {
  await using watch = await EventWatch.open(port, '/+changes?index=alice/dev', AUTH)
  const times: number[] = []
  for (const upload of Array.from({ length: count }, (_, at) => releaseRequests(project, `1.${at}`, 1, 2000)).flat()) {
    await setTimeout(pauseMs)
    const { headers } = await client.ask(upload)
    const answered = performance.now()
    const arrived = await watch.arrival(Number(headerOf(headers, 'x-devpi-serial')))
    times.push(Math.max(0, arrived - answered))
  }
  const ascending = times.sort((a, b) => a - b)
  return told(`live event of a change ${what}, after the answer to it: median, p99`, `${median(ascending).toFixed(1)}, ${percentile(ascending, 0.99).toFixed(1)} ms`)
}

async function headSerial(client: Client): Promise<number> {
  return Number(headerOf((await client.ask(getRequest('/+api', JSON_HEADERS))).headers, 'x-devpi-serial'))
}

function toxReport(at: number): object {
  const command = { command: ['pytest', '-q', String(at)], output: '.'.repeat(4800), retcode: 0 }
  const environment = { python: { version: '3.11.7' }, setup: [command], test: [command] }
  return { reportversion: '1', toxversion: '3.28.0', host: 'bench', platform: 'linux', testenvs: { py311: environment, docs: environment } }
}

function jsonOf(value: object): Buffer {
  return Buffer.from(JSON.stringify(value))
}
