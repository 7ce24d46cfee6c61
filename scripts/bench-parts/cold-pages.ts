import { join } from 'node:path'
import { Client, getRequest, headerOf, median, once } from './load.js'
import { startServerUnderTest } from './processes.js'
import { atMost, type BenchOptions, type Row } from './row.js'
import { AUTH, BenchState } from './state.js'
import { uploadRequests } from './upload-requests.js'

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'

/** Pages with nothing cached, at head and long ago; the page after an upload; the list of many projects. */
export async function benchColdPages({ folder, quick }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'server')
  const copies = quick ? 2 : 9
  const warmUp = quick ? 1 : 40
  const filler = quick ? 5000 : 500_000
  const projects = quick ? 1000 : 100_000
  let past = 0
  {
    await using state = await BenchState.create(serverDir, { dev: {}, many: {} })
    for (let at = 0; at < warmUp; at += 1) await state.addProject('dev', `warm-${at}`, 1000)
    for (let copy = 0; copy < copies; copy += 1) {
      await state.addProject('dev', `thousand-${copy}`, 1000)
      await state.addProject('dev', `tenthousand-${copy}`, quick ? 1000 : 10_000)
    }
    await state.addProjects('many', projects)
    past = state.storage.head.serial
    await state.addFiller(filler)
  }
  await using server = await startServerUnderTest(serverDir)
  const client = await Client.open(server.port)
  const ask = (path: string) => client.ask(getRequest(path, { Accept: JSON_TYPE }))
  const timeOf = async (path: string): Promise<number> => {
    const { status, totalMs } = await ask(path)
    if (status !== 200) throw new Error(`${path}: ${status}`)
    return totalMs
  }
  const eachCopy = async (prefix: string, project: string): Promise<number> => {
    const times: number[] = []
    for (let copy = 0; copy < copies; copy += 1) times.push(await timeOf(`/alice/dev/${prefix}+simple/${project}-${copy}/`))
    return median(times.slice(1)) // the first one warms up
  }
  // A server that has been up for a minute has compiled what it does; what is measured is that nothing is cached.
  for (let at = 0; at < warmUp; at += 1) for (const prefix of ['', `+at/${past}/`]) await timeOf(`/alice/dev/${prefix}+simple/warm-${at}/`)
  const ago = `${filler.toLocaleString('en')} entries back`
  const rows = [
    atMost('uncached page of 1,000 links at head', 10, await eachCopy('', 'thousand'), 'ms'),
    atMost(`uncached page of 1,000 links ${ago}`, 40, await eachCopy(`+at/${past}/`, 'thousand'), 'ms'),
    atMost('uncached page of 10,000 links at head', 100, await eachCopy('', 'tenthousand'), 'ms'),
    atMost(`uncached page of 10,000 links ${ago}`, 400, await eachCopy(`+at/${past}/`, 'tenthousand'), 'ms'),
    await afterUpload(client, `tenthousand-${copies - 1}`, timeOf),
  ]
  client.close()
  return [...rows, ...(await listRows(server.port, projects))]
}

async function afterUpload(client: Client, project: string, timeOf: (path: string) => Promise<number>): Promise<Row> {
  const path = `/alice/dev/+simple/${project}/`
  const uploads = uploadRequests(project.replace('-', '_'), 12, 2000)
  const extra: number[] = []
  await timeOf(path)
  for (const upload of uploads) {
    const cached = median([await timeOf(path), await timeOf(path), await timeOf(path)])
    const { status, body } = await client.ask(upload)
    if (status !== 200) throw new Error(`upload: ${status} ${body.toString()}`)
    extra.push((await timeOf(path)) - cached)
  }
  return atMost('page of 10,000 links after an upload, more than cached', 5, median(extra.slice(2)), 'ms')
}

async function listRows(port: number, projects: number): Promise<Row[]> {
  const list = getRequest('/alice/many/+simple/', { Accept: JSON_TYPE, Authorization: AUTH })
  const firstBytes: number[] = []
  let etag = ''
  for (let round = 0; round < 5; round += 1) {
    const { firstByteMs, headers } = await once(port, list)
    firstBytes.push(firstByteMs)
    etag = headerOf(headers, 'etag') ?? ''
  }
  const conditional = getRequest('/alice/many/+simple/', { Accept: JSON_TYPE, 'If-None-Match': etag })
  const unchanged: number[] = []
  for (let round = 0; round < 9; round += 1) unchanged.push((await once(port, conditional)).totalMs)
  const what = `list of ${projects.toLocaleString('en')} projects`
  return [atMost(`${what}, first byte`, 30, median(firstBytes), 'ms'), atMost(`${what}, 304`, 2, median(unchanged), 'ms')]
}
