import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Listening, startBare, startNginx, startServerUnderTest } from './processes.js'
import { askAll, getRequest, hammer, headerOf, median, once } from './load.js'
import { atLeast, type BenchOptions, type Row, told } from './row.js'
import { BenchState } from './state.js'
import { uploadRequests } from './upload-requests.js'

const SPELLINGS = { HTML: 'text/html', JSON: 'application/vnd.pypi.simple.v1+json' }
const LINKS = 50
const CONNECTIONS = 4

/** A page that nothing changed since it was asked for last, against a handler that sends the same bytes and headers. */
export async function benchCachedPages({ folder, quick }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'server')
  {
    await using state = await BenchState.create(serverDir, { b3: {}, b2: { bases: ['alice/b3'] }, b1: { bases: ['alice/b2'] }, dev: {}, top: { bases: ['alice/b1'] } })
    await state.addProject('dev', 'demo', LINKS)
    for (const index of ['top', 'b1', 'b2', 'b3']) await state.addProject(index, 'demo', LINKS / 4 + 1)
    await state.addFiller(1000) // so that the serial in every reply keeps its four digits while files are uploaded
  }
  await using server = await startServerUnderTest(serverDir)
  const rows: Row[] = []
  const rounds = quick ? 1 : 7
  const ms = quick ? 200 : 1000
  for (const [index, road] of [['dev', 'direct'], ['top', 'through three bases']] as const) {
    for (const [spelling, accept] of Object.entries(SPELLINGS)) {
      const asked = getRequest(`/alice/${index}/+simple/demo/`, { Accept: accept, 'User-Agent': 'pip/25.0' })
      rows.push(...(await compare(`cached page, ${spelling}, ${road}`, 0.85, { folder, server, asked, rounds, ms })))
    }
  }
  const page = getRequest('/alice/dev/+simple/demo/', { Accept: SPELLINGS.JSON })
  const etag = headerOf((await once(server.port, page)).headers, 'etag') ?? ''
  const conditional = getRequest('/alice/dev/+simple/demo/', { Accept: SPELLINGS.JSON, 'If-None-Match': etag })
  rows.push(...(await compare('304 of a cached page', 0.85, { folder, server, asked: conditional, rounds, ms })))
  rows.push(...(await whileUploading(folder, server, page, rounds, ms)))
  rows.push(await againstNginx(folder, server, page, rounds, ms))
  return rows
}

interface Comparison {
  readonly folder: string
  readonly server: Listening
  readonly asked: Buffer
  readonly rounds: number
  readonly ms: number
}

async function compare(what: string, least: number, { folder, server, asked, rounds, ms }: Comparison): Promise<Row[]> {
  await using bare = await bareOf(folder, server, asked)
  const ratios: number[] = []
  let rate = 0
  await hammer(server.port, asked, { connections: CONNECTIONS, ms })
  await hammer(bare.port, asked, { connections: CONNECTIONS, ms })
  for (let round = 0; round < rounds; round += 1) {
    const ours = await hammer(server.port, asked, { connections: CONNECTIONS, ms })
    const theirs = await hammer(bare.port, asked, { connections: CONNECTIONS, ms })
    ratios.push(ours / theirs)
    rate = ours
  }
  return [atLeast(`${what}: share of bare (${rate.toFixed(0)}/s)`, least, median(ratios))]
}

/** A bare server that sends what ours sends to this request; it is asked with the same bytes. */
async function bareOf(folder: string, server: Listening, asked: Buffer): Promise<Listening> {
  const { status, headers, body } = await once(server.port, asked)
  const own = new Set(['date', 'connection', 'keep-alive'])
  const kept = headers.flatMap((name, at) => (at % 2 === 0 && !own.has(name.toLowerCase()) ? [name, headers[at + 1] ?? ''] : []))
  await writeFile(join(folder, 'reply.json'), JSON.stringify({ status, headers: kept }))
  await writeFile(join(folder, 'reply.bin'), body)
  return startBare(folder)
}

/**
 * Both take the same uploads meanwhile, ours as fast as one client sends them
 * and the bare handler as many in the same time: with two cores for clients
 * and server, the client and the disk have their share in what it costs.
 */
async function whileUploading(folder: string, server: Listening, page: Buffer, rounds: number, ms: number): Promise<Row[]> {
  await using bare = await bareOf(folder, server, page)
  const files = uploadRequests('other', 3000, 50_000)
  const busy: number[] = []
  const idle: number[] = []
  const uploaded: number[] = []
  for (let round = 0, next = 0; round < rounds; round += 1) {
    const start = next
    const ours = await hammerWhile(server.port, page, ms, async () => {
      await askAll(server.port, files.slice(next, (next += 1)), 1)
      return next < files.length
    })
    const count = next - start
    const began = performance.now()
    let sent = 0
    const theirs = await hammerWhile(bare.port, page, ms, async () => {
      if (sent >= count) return false
      await askAll(bare.port, files.slice(start + sent, start + sent + 1), 1)
      sent += 1
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + (sent * ms) / count - performance.now())))
      return true
    })
    busy.push(ours / theirs)
    idle.push(ours / (await hammer(bare.port, page, { connections: CONNECTIONS, ms })))
    uploaded.push((count * 1000) / ms)
  }
  return [
    atLeast(`cached page while one client uploads without pause (${median(uploaded).toFixed(0)}/s): share of bare taking as many`, 0.8, median(busy)),
    told('the same: share of bare that takes none', median(idle).toFixed(2)),
  ]
}

/** Asks for a page while `meanwhile` is done over and over, until it says false. */
async function hammerWhile(port: number, page: Buffer, ms: number, meanwhile: () => Promise<boolean>): Promise<number> {
  let stop = false
  const doing = (async () => {
    while (!stop && (await meanwhile()));
  })()
  const measuring = hammer(port, page, { connections: CONNECTIONS, ms }).finally(() => { stop = true })
  const [rate] = await Promise.all([measuring, doing])
  return rate
}

async function againstNginx(folder: string, server: Listening, page: Buffer, rounds: number, ms: number): Promise<Row> {
  const what = 'cached page: share of nginx serving the same file'
  const root = join(folder, 'nginx')
  await mkdir(join(root, 'logs'), { recursive: true })
  await writeFile(join(root, 'page'), (await once(server.port, page)).body)
  const port = 20_000 + (process.pid % 20_000)
  const configuration = join(root, 'nginx.conf')
  await writeFile(
    configuration,
    // Started by root it would serve as somebody who may not look into the folder.
    `${process.getuid?.() === 0 ? 'user root;' : ''} worker_processes 1; pid ${root}/pid; error_log ${root}/error.log; events {} http { access_log off; keepalive_requests 1000000; ` +
      `client_body_temp_path ${root}/a; proxy_temp_path ${root}/b; fastcgi_temp_path ${root}/c; uwsgi_temp_path ${root}/d; scgi_temp_path ${root}/e; ` +
      `server { listen 127.0.0.1:${port}; root ${root}; } }`,
  )
  await using nginx = await startNginx(root, configuration)
  if (nginx === undefined) return told(what, 'nginx is not installed')
  const ratios: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const ours = await hammer(server.port, page, { connections: CONNECTIONS, ms })
    ratios.push(ours / (await hammer(port, getRequest('/page'), { connections: CONNECTIONS, ms })))
  }
  return atLeast(what, 0.5, median(ratios))
}

