import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer } from '#test/support/server.js'

/** Series and values of a scrape. */
async function scrape(fetchFrom: TestServer['fetch']): Promise<ReadonlyMap<string, number>> {
  const reply = await fetchFrom('/+metrics')
  expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
  const lines = (await reply.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))
}

const JSON_PAGE = { headers: { Accept: 'application/vnd.pypi.simple.v1+json' } }

test('figures say what was done', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { dev: {} })
  const file = wheel('demo', '1.0')
  await alice.upload('dev', file)
  for (let time = 0; time < 4; time += 1) await (await server.fetch('/alice/dev/+simple/demo/', JSON_PAGE)).text()
  expect((await server.fetch('/alice/nope', { headers: { Accept: 'application/json' } })).status).toBe(404)
  expect((await server.fetch('/alice/dev/+simple/demo', { method: 'DELETE' })).status).toBe(405)
  expect((await server.fetch('/+nothing/such/as/this/at/all')).status).toBe(404)

  const found = await scrape(server.fetch)
  const requests = (route: string, method: string, status: number): number | undefined =>
    found.get(`devpi_http_requests_total{route="${route}",method="${method}",status="${status}"}`)
  expect(requests('/{user}/{index}', 'POST', 200)).toBe(1)
  expect(requests('/{user}/{index}', 'PUT', 200)).toBe(1)
  expect(requests('/{user}/{index}', 'GET', 404)).toBe(1)
  expect(requests('none', 'GET', 404)).toBe(1)
  const simple = [...found.keys()].filter((series) => series.startsWith('devpi_http_requests_total') && series.includes('simple'))
  expect(simple.filter((series) => series.includes('"GET"')).map((series) => found.get(series))).toEqual([1]) // the others came from the cache
  expect(found.get('devpi_http_request_duration_seconds_count{route="/{user}/{index}"}')).toBe(3)
  expect(found.get('devpi_http_request_duration_seconds_bucket{le="+Inf",route="/{user}/{index}"}')).toBe(3)
  expect(Object.fromEntries(found)).toMatchObject({
    devpi_page_cache_hits_total: 3,
    devpi_page_cache_misses_total: 1,
    devpi_log_serial: server.head(),
    devpi_log_entries_total: server.head() + 1,
    devpi_log_writable: 1,
    devpi_blobs_received_total: 1,
    devpi_blob_received_bytes_total: file.bytes.length,
    devpi_change_streams: 0,
    'devpi_info{version="0.1.0"}': 1,
  })
  expect(found.get('devpi_log_size_bytes')).toBeGreaterThan(1000)
  expect(found.get('devpi_page_cache_bytes')).toBeGreaterThan(100)
  expect(found.get('process_resident_memory_bytes')).toBeGreaterThan(1e6)

})

test('no name of anybody is in it, and it does not grow with names', async () => {
  await using server = await startServer()
  await server.signUp('alice', { dev: {} })
  await scrape(server.fetch)
  const before = (await scrape(server.fetch)).size
  for (let at = 0; at < 50; at += 1) await server.fetch(`/someone${at}`, { headers: { Accept: 'application/json' } })
  await (await server.fetch('/alice/dev')).text()
  const after = await scrape(server.fetch)
  expect(after.size - before).toBeLessThan(40)
  expect([...after.keys()].join('\n')).not.toMatch(/alice|someone/)
})

test('two servers count for themselves', async () => {
  await using one = await startServer()
  await using other = await startServer()
  await one.signUp('alice')
  expect((await scrape(one.fetch)).get('devpi_log_serial')).toBe(1)
  expect((await scrape(other.fetch)).get('devpi_log_serial')).toBe(0)
})

test('what a restart leaves behind is still the size of the log', async () => {
  const first = await startServer()
  const alice = await first.signUp('alice', { dev: {} })
  for (let at = 0; at < 200; at += 1) await alice.patch('/alice/dev', { description: `${at} ${Math.random()}`.repeat(50) })
  const size = (await scrape(first.fetch)).get('devpi_log_size_bytes') ?? NaN
  await first.stop()
  await using again = await startServer({ serverDir: first.serverDir })
  const later = (await scrape(again.fetch)).get('devpi_log_size_bytes') ?? NaN
  expect(size).toBeGreaterThan(100_000)
  expect(later).toBeGreaterThan(10_000) // compressed now
  await again.stop()
  await first[Symbol.asyncDispose]()
})

describe('who may see it', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startServer({ config: { trustedProxies: ['127.0.0.1'], metricsFrom: ['192.0.2.0/24'] } })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test.each<[string, Record<string, string>, number]>([
    ['this machine', {}, 200],
    ['a network that was named', { 'X-Forwarded-For': '192.0.2.9' }, 200],
    ['this machine through a proxy', { 'X-Forwarded-For': '127.0.0.1' }, 200],
    ['another machine', { 'X-Forwarded-For': '198.51.100.7' }, 401],
    ['nobody knows who', { 'X-Outside-Url': 'https://pypi.example' }, 401],
    ['nobody knows who, again', { Forwarded: 'for=127.0.0.1' }, 401],
  ])('%s', async (_, headers, status) => {
    const reply = await server.fetch('/+metrics', { headers })
    expect(reply.status).toBe(status)
    if (status === 401) expect(reply.headers.get('www-authenticate')).toBe('Basic realm="pypi"')
  })

  test('from elsewhere root, and no other user', async () => {
    const elsewhere = { 'X-Forwarded-For': '198.51.100.7' }
    const [alice, root] = [await server.signUp('alice'), await server.root()]
    expect((await alice.fetch('/+metrics', { headers: elsewhere })).status).toBe(403)
    expect((await root.fetch('/+metrics', { headers: elsewhere })).status).toBe(200)
  })
})

test('a proxy that is not trusted opens it to nobody', async () => {
  await using server = await startServer()
  expect((await server.fetch('/+metrics', { headers: { 'X-Forwarded-For': '127.0.0.1' } })).status).toBe(401)
})
