import { wheel } from '#test/support/archives.js'
import { until } from '#test/support/replica.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { type Answer, ranged, sha256Of, silence, SIMPLE_JSON, status, TestUpstream, text, truncated, type UpstreamFile } from '#test/support/upstream.js'

let first: TestUpstream
let second: TestUpstream
let server: TestServer
let alice: TestUser
let time = Date.parse('2026-01-02T03:04:05Z')

beforeAll(async () => {
  first = await TestUpstream.start()
  second = await TestUpstream.start()
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] }, now: () => time })
  alice = await server.signUp('alice', {
    mirror: { type: 'mirror', mirror_url: first.url, mirror_fallback_urls: [second.url], mirror_cache_expiry: 100 },
    child: { bases: ['alice/mirror'] },
  })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  await second[Symbol.asyncDispose]()
})

function file(filename: string, content = filename, fields: object = {}): UpstreamFile {
  return { filename, content: Buffer.from(content), fields: { ...fields } }
}

interface Page {
  readonly status: number
  readonly cacheControl: string
  readonly files: readonly { readonly filename: string; readonly url: string; readonly hashes: { readonly sha256?: string } }[]
}

/** The page, past every freshness and every pause of an upstream that failed. */
async function page(project: string, index = 'alice/mirror'): Promise<Page> {
  time += 200_000
  const reply = await server.fetch(`/${index}/+simple/${project}/`, { headers: { accept: SIMPLE_JSON } })
  const body = await reply.text()
  const files = reply.status === 200 ? (JSON.parse(body) as Page).files : []
  return { status: reply.status, cacheControl: reply.headers.get('cache-control') ?? '', files }
}

async function names(project: string, index?: string): Promise<string[]> {
  return (await page(project, index)).files.map(({ filename }) => filename)
}

async function urlOf(project: string, filename: string, index = 'alice/mirror'): Promise<string> {
  const found = (await page(project, index)).files.find((one) => one.filename === filename)
  return new URL(found?.url ?? '', `${server.url}/${index}/+simple/${project}/`).pathname
}

async function why(project: string, index = 'alice/mirror'): Promise<{ readonly asked: readonly { readonly reason: string }[]; readonly disagreements: readonly object[] }> {
  const reply = await server.fetch(`/${index}/+why/${project}`, { headers: { accept: 'application/json' } })
  return ((await reply.json()) as { result: { asked: { reason: string }[]; disagreements: object[] } }).result
}

async function metric(name: string): Promise<number> {
  const metrics = await (await server.fetch('/+metrics')).text()
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)?.[1])
}

const sha = (content: string): string => sha256Of(Buffer.from(content))
/** The first upstream fails for the page of the project. */
const fail = (project: string): void => { first.on(`/simple/${project}/`, status(500)) }

describe('the second upstream is asked when the first', () => {
  const FAILING: readonly (readonly [string, Answer])[] = [
    ['answers 500', status(500)],
    ['is not available for a while', status(503, { 'retry-after': '3' })],
    ['gets too many requests', status(429)],
    ['does not admit us', status(403)],
    ['breaks off', truncated(Buffer.from('<a'), 99)],
    ['does not answer', silence],
    ['speaks another version', text('{"meta":{"api-version":"2.0"}}', { contentType: SIMPLE_JSON })],
  ]
  test.each(FAILING)('%s', async (name, answer) => {
    const project = `f${sha(name).slice(0, 8)}`
    first.on(`/simple/${project}/`, answer)
    second.project(project, [file(`${project}-1.0.zip`)])
    const before = await metric('devpi_mirror_failovers_total')
    expect(await names(project, 'alice/child')).toEqual([`${project}-1.0.zip`])
    expect(await metric('devpi_mirror_failovers_total')).toBe(before + 1)
    expect((await why(project)).asked[0]?.reason).toBe(`alice/mirror has it; ${second.url} was asked, as the upstream before it fails`)
  })

  test('cannot be reached, which is found out once for all projects', async () => {
    await using gone = await TestUpstream.start()
    await alice.put('/alice/reach', { type: 'mirror', mirror_url: gone.url, mirror_fallback_urls: second.url, mirror_cache_expiry: 100 })
    await gone.stop()
    second.project('reach', [file('reach-1.0.zip')])
    expect(await names('reach', 'alice/reach')).toEqual(['reach-1.0.zip'])
  })
})

describe('the first upstream that answers is believed', () => {
  const ANSWERS: readonly (readonly [string, Answer, number])[] = [
    ['it has the project no more', status(404), 404],
    ['the project is gone', status(410), 404],
    ['the project has no files', text('{"meta":{"api-version":"1.1"},"name":"x","versions":[],"files":[]}', { contentType: SIMPLE_JSON }), 200],
  ]
  test.each(ANSWERS)('%s', async (name, answer, wanted) => {
    const project = `a${sha(name).slice(0, 8)}`
    first.on(`/simple/${project}/`, answer)
    second.project(project, [file(`${project}-1.0.zip`)])
    const found = await page(project)
    expect([found.status, found.files]).toEqual([wanted, []])
    expect(second.count(`/simple/${project}/`)).toBe(0)
  })

  test('a second one that has nothing does not make an outage an absence', async () => {
    fail('unknown')
    expect((await page('unknown')).status).toBe(502)
    first.project('known', [file('known-1.0.zip')])
    await page('known')
    fail('known')
    const stale = await page('known')
    expect([stale.files.length, stale.cacheControl]).toEqual([1, expect.stringContaining('no-store')])
    expect(second.count('/simple/known/')).toBe(1)
  })
})

describe('failing over and back', () => {
  test('changes nothing while both have the same content, however they tell of it', async () => {
    const files = ['steady-1.0.zip', 'steady-2.0.zip', 'steady-3.0.zip'].map((name) => file(name))
    first.project('steady', files)
    second.project('steady', [...files].reverse().map(({ filename, content }) => file(filename, content.toString(), { size: undefined, yanked: 'on this one only', 'requires-python': '>=3' })))
    const before = await page('steady')
    const head = server.head()
    for (let round = 0; round < 5; round += 1) {
      fail('steady')
      expect((await page('steady')).files).toEqual(before.files)
      first.project('steady', files)
      expect((await page('steady')).files).toEqual(before.files)
    }
    expect(second.count('/simple/steady/')).toBe(5)
    expect(server.head()).toBe(head)
  })

  test('changes nothing either where the second was the first to tell of the project', async () => {
    fail('begun')
    second.project('begun', [file('begun-1.0.zip')])
    const before = await page('begun')
    const head = server.head()
    first.project('begun', [file('begun-1.0.zip')])
    expect((await page('begun')).files).toEqual(before.files)
    expect([server.head(), first.count('/simple/begun/')]).toEqual([head, 2])
    first.project('begun', [file('begun-1.0.zip', undefined, { yanked: 'broken' })]) // of its own files the first has the say
    expect((await page('begun')).files).toMatchObject([{ filename: 'begun-1.0.zip', yanked: 'broken' }])
    fail('begun')
    expect((await page('begun')).files).toMatchObject([{ filename: 'begun-1.0.zip', yanked: 'broken' }])
  })

  test('adds what only the second has, until the first is back, and then no more', async () => {
    first.project('ahead', [file('ahead-1.0.zip')])
    second.project('ahead', [file('ahead-1.0.zip'), file('ahead-2.0.zip')])
    await page('ahead')
    fail('ahead')
    expect(await names('ahead')).toEqual(['ahead-2.0.zip', 'ahead-1.0.zip'])
    second.project('ahead', [file('ahead-2.0.zip')]) // has less than the first had
    expect(await names('ahead')).toEqual(['ahead-2.0.zip', 'ahead-1.0.zip'])
    first.project('ahead', [file('ahead-1.0.zip')])
    expect(await names('ahead')).toEqual(['ahead-1.0.zip'])
    const head = server.head()
    fail('ahead')
    expect(await names('ahead')).toEqual(['ahead-1.0.zip'])
    expect(server.head()).toBe(head)
    first.project('ahead', [file('ahead-1.0.zip'), file('ahead-2.0.zip')])
    expect(await names('ahead')).toEqual(['ahead-2.0.zip', 'ahead-1.0.zip'])
  })
})

describe('of a file of which two upstreams state different digests', () => {
  test('that of the first stands', async () => {
    first.project('clash', [file('clash-1.0.zip', 'right')])
    second.project('clash', [file('clash-1.0.zip', 'wrong'), file('clash-2.0.zip')])
    await page('clash')
    fail('clash')
    first.on('/files/clash/clash-1.0.zip', status(500))
    const before = await metric('devpi_mirror_digest_disagreements_total')
    const { files } = await page('clash')
    expect(files.map(({ filename, hashes }) => [filename, hashes.sha256])).toEqual([['clash-2.0.zip', sha('clash-2.0.zip')], ['clash-1.0.zip', sha('right')]])
    expect((await server.fetch(await urlOf('clash', 'clash-1.0.zip'))).status).toBe(502)
    expect(second.count('/files/clash/clash-1.0.zip')).toBe(0)
    expect((await why('clash')).disagreements).toEqual([
      { file: 'clash-1.0.zip', version: '1.0', index: 'alice/mirror', sha256: sha('right'), others: [{ upstream: second.url, sha256: sha('wrong') }] },
    ])
    expect(await metric('devpi_mirror_digest_disagreements_total')).toBe(before + 1)
    expect(server.log.filter((line) => line.includes('clash-1.0.zip') && line.includes(sha('wrong')))).toHaveLength(1)
    second.project('clash', [file('clash-1.0.zip', 'right'), file('clash-2.0.zip')])
    await page('clash')
    expect((await why('clash')).disagreements).toEqual([])
  })

  test('that of the second stands, if it was the first to state one', async () => {
    fail('early')
    second.project('early', [file('early-1.0.zip', 'as the second has it')])
    await page('early')
    first.project('early', [file('early-1.0.zip', 'as the first has it')])
    expect((await page('early')).files.map(({ hashes }) => hashes.sha256)).toEqual([sha('as the second has it')])
    expect(await (await server.fetch(await urlOf('early', 'early-1.0.zip'))).text()).toBe('as the second has it')
    expect((await why('early')).disagreements).toMatchObject([{ others: [{ upstream: first.url, sha256: sha('as the first has it') }] }])
  })

  test('an upstream that states none has to give the content that another one stated', async () => {
    fail('mute')
    second.project('mute', [file('mute-1.0.zip', 'right')])
    await page('mute')
    first.project('mute', [file('mute-1.0.zip', 'wrong', { hashes: {}, size: undefined, yanked: 'so that it differs' })])
    const url = await urlOf('mute', 'mute-1.0.zip')
    const again = await page('mute')
    expect(again.files).toMatchObject([{ yanked: 'so that it differs', hashes: { sha256: sha('right') } }])
    const reply = await server.fetch(url).then((found) => found.text()).catch(() => 'broken off')
    expect(first.count('/files/mute/mute-1.0.zip')).toBe(1)
    expect(reply).not.toContain('wrong')
  })
})

describe('a file whose own upstream fails', () => {
  test('is had from another one that states the same digest, with its metadata', async () => {
    const known = wheel('shared', '1.0')
    const metadata = Buffer.from('Metadata-Version: 2.1\nName: shared\nVersion: 1.0\n')
    const offered = { filename: known.filename, content: known.bytes, fields: { 'core-metadata': { sha256: sha256Of(metadata) } } }
    first.project('shared', [offered])
    second.project('shared', [offered])
    const path = `/files/shared/${known.filename}`
    second.on(`${path}.metadata`, (_request, response) => void response.end(metadata))
    first.on(`${path}.metadata`, status(503))
    first.on(path, status(503))
    const url = await urlOf('shared', known.filename)
    const replies = await Promise.all(Array.from({ length: 10 }, () => server.fetch(url)))
    for (const reply of replies) expect(sha256Of(Buffer.from(await reply.arrayBuffer()))).toBe(sha256Of(known.bytes))
    expect([second.count(path), second.count('/simple/shared/')]).toEqual([1, 1])
    expect(await (await server.fetch(`${url}.metadata`)).text()).toBe(metadata.toString())
  })

  test('is not fetched again by who looked elsewhere for it while somebody else fetched it', async () => {
    const known = file('late-1.0.zip')
    first.project('late', [known])
    second.project('late', [known])
    const path = '/files/late/late-1.0.zip'
    let lateAsks = (): void => undefined
    const lateAsked = new Promise<void>((resolve) => { lateAsks = resolve })
    let letGo = (): void => undefined
    const isLetGo = new Promise<void>((resolve) => { letGo = resolve })
    first.on(path, (_request, response) => {
      if (first.count(path) > 1) lateAsks()
      void (first.count(path) > 1 ? isLetGo : Promise.resolve()).then(() => response.writeHead(503).end())
    })
    second.on(path, (_request, response) => void lateAsked.then(() => response.end(known.content)))
    const url = await urlOf('late', 'late-1.0.zip')
    const early = server.fetch(url)
    await until(() => second.count(path) > 0)
    const late = server.fetch(url)
    expect((await (await early).arrayBuffer()).byteLength).toBe(known.content.length)
    letGo()
    expect((await (await late).arrayBuffer()).byteLength).toBe(known.content.length)
    expect(second.count(path)).toBe(1)
  })

  test('goes on at another one where it breaks off, for all who read along', async () => {
    const known = file('cut-1.0.zip', 'some content'.repeat(50_000))
    const path = '/files/cut/cut-1.0.zip'
    first.project('cut', [known])
    second.project('cut', [known])
    let hangUp = (): void => undefined
    first.on(path, (request, response) => {
      if (request.headers.range !== undefined) return void response.writeHead(503).end()
      response.writeHead(200, { 'content-length': known.content.length }).write(known.content.subarray(0, 300_000))
      hangUp = () => void response.destroy()
    })
    second.on(path, ranged(known.content))
    const url = await urlOf('cut', 'cut-1.0.zip')
    const replies = await Promise.all(Array.from({ length: 10 }, () => server.fetch(url)))
    hangUp()
    for (const reply of replies) expect(sha256Of(Buffer.from(await reply.arrayBuffer()))).toBe(sha256Of(known.content))
    const ranges = (upstream: TestUpstream): unknown[] => upstream.asked.flatMap(({ path: asked, headers }) => (asked === path ? [headers.range] : []))
    const rest = expect.stringMatching(/^bytes=[1-9]\d*-$/) as unknown
    expect([ranges(first), ranges(second)]).toEqual([[undefined, rest], [rest]])
  })

  test('breaks off where no other one states the same digest', async () => {
    const known = file('lone-1.0.zip', 'lone content'.repeat(50_000))
    first.project('lone', [known])
    second.project('lone', [file('lone-1.0.zip', 'other content')])
    first.on('/files/lone/lone-1.0.zip', truncated(known.content.subarray(0, 300_000), known.content.length))
    const reply = await server.fetch(await urlOf('lone', 'lone-1.0.zip')).then(async (found) => [found.status, (await found.arrayBuffer()).byteLength]).catch(() => 'broken off')
    expect(reply).not.toEqual([200, known.content.length])
    expect([second.count('/simple/lone/'), second.count('/files/lone/lone-1.0.zip')]).toEqual([1, 0])
  })

  test('is had from another one whose page is too long to be kept', async () => {
    const files = Array.from({ length: 5001 }, (_, at) => file(`vast-${at}.zip`))
    first.project('vast', files)
    second.project('vast', files)
    for (const name of ['vast-1.zip', 'vast-2.zip']) {
      first.on(`/files/vast/${name}`, status(503))
      expect(await (await server.fetch(await urlOf('vast', name))).text()).toBe(name)
    }
    expect(second.count('/simple/vast/')).toBe(2)
  })

  test('is no more had from one that is not of the mirror any more', async () => {
    first.project('lent', [file('lent-1.0.zip')])
    second.project('lent', [file('lent-1.0.zip')])
    await alice.put('/alice/lent', { type: 'mirror', mirror_url: first.url, mirror_fallback_urls: [second.url] })
    first.on('/files/lent/lent-1.0.zip', status(500))
    const url = await urlOf('lent', 'lent-1.0.zip', 'alice/lent')
    expect((await server.fetch(url)).status).toBe(200)
    await alice.patch('/alice/lent', ['mirror_fallback_urls-=' + second.url])
    expect((await server.fetch(url)).status).toBe(502)
    await alice.patch('/alice/lent', ['mirror_fallback_urls+=' + second.url])
    expect((await server.fetch(url)).status).toBe(200)
    expect(second.count('/files/lent/lent-1.0.zip')).toBe(1)
  })

  test('is not had elsewhere when its upstream says that it is gone', async () => {
    first.project('taken', [file('taken-1.0.zip')])
    second.project('taken', [file('taken-1.0.zip')])
    first.on('/files/taken/taken-1.0.zip', status(404))
    expect((await server.fetch(await urlOf('taken', 'taken-1.0.zip'))).status).toBe(404)
    expect(second.count('/files/taken/taken-1.0.zip')).toBe(0)
  })
})

test('a private name is sent to none of them, and the list of names comes from the first that gives it', async () => {
  await alice.put('/alice/private', { bases: ['alice/mirror'] })
  await alice.upload('private', wheel('inhouse', '1.0'))
  fail('inhouse')
  await page('inhouse', 'alice/private')
  await server.fetch('/alice/private/+why/inhouse', { headers: { accept: 'application/json' } })
  first.on('/simple/', status(500))
  second.on('/simple/', text('<a href="/simple/listed/">listed</a>'))
  const list = async (): Promise<string> => (await server.fetch('/alice/private/+simple/', { headers: { accept: SIMPLE_JSON } })).text()
  expect(await list()).toContain('"listed"')
  time += 200_000
  first.on('/simple/', text('<a href="/simple/better/">better</a>'))
  expect(await list()).toContain('"better"')
  for (const upstream of [first, second]) expect(upstream.asked.filter(({ path }) => path.includes('inhouse'))).toEqual([])
})

describe('mirror_fallback_urls', () => {
  const [one, two, three] = ['https://one.example/simple/', 'https://two.example/simple/', 'https://three.example/simple/'] as const
  const secret = (): unknown => server.running.storage.vault.get('upstream\0alice\0listed')
  const login = (username: string): object => ({ username, password: `pw of ${username}` })
  const withLogin = (url: string, username: string): string => url.replace('//', `//${username}:pw%20of%20${username}@`)

  test('takes a list, a text with commas, or operations; each keeps its own credentials wherever it stands', async () => {
    await alice.put('/alice/listed', { type: 'mirror', mirror_url: withLogin(one, 'ann'), mirror_fallback_urls: `${withLogin(two, 'bob')}, ${three}` })
    const settings = async (): Promise<unknown[]> => {
      const { result } = (await (await alice.get('/alice/listed')).json()) as { result: { mirror_url: string; mirror_fallback_urls?: string[] } }
      return [result.mirror_url, result.mirror_fallback_urls]
    }
    expect(await settings()).toEqual([one, [two, three]])
    expect(secret()).toEqual({ ...login('ann'), fallbacks: { [two]: login('bob') } })
    await alice.patch('/alice/listed', { mirror_url: two, mirror_fallback_urls: [one, withLogin(three, 'cid')] })
    expect(secret()).toEqual({ ...login('bob'), fallbacks: { [one]: login('ann'), [three]: login('cid') } })
    await alice.patch('/alice/listed', [`mirror_fallback_urls-=${one}`])
    expect([await settings(), secret()]).toEqual([[two, [three]], { ...login('bob'), fallbacks: { [three]: login('cid') } }])
    await alice.patch('/alice/listed', [`mirror_fallback_urls+=${one}`, `mirror_url=${one}x`])
    expect([await settings(), secret()]).toEqual([[`${one}x`, [three, one]], { fallbacks: { [three]: login('cid') } }])
    await alice.patch('/alice/listed', ['mirror_fallback_urls-='])
    expect([await settings(), secret()]).toEqual([[`${one}x`, undefined], undefined])
    expect(server.log.join('')).not.toMatch(/pw(%20| )of/)
  })

  const REFUSED: readonly (readonly [string, object])[] = [
    ['what is no URL', { mirror_fallback_urls: ['ftp://one.example/'] }],
    ['the first upstream again', { mirror_fallback_urls: [one] }],
    ['more than anybody waits for', { mirror_fallback_urls: Array.from({ length: 8 }, (_, at) => `https://${at}.example/`) }],
    ['none to ask first', { mirror_url: null, mirror_fallback_urls: [two] }],
  ]
  test.each(REFUSED)('refuses %s', async (_, settings) => {
    await alice.put('/alice/strict', { type: 'mirror', mirror_url: one })
    expect((await alice.patch('/alice/strict', settings)).status).toBe(400)
  })

  test('is no setting of an index that takes uploads', async () => {
    expect((await alice.put('/alice/stage', { mirror_fallback_urls: [one] })).status).toBe(400)
  })

  test('credentials go to their own upstream, pages and files alike', async () => {
    await alice.put('/alice/paid', { type: 'mirror', mirror_url: withLogin(first.url, 'ann'), mirror_fallback_urls: [withLogin(second.url, 'bob')] })
    fail('paid')
    second.project('paid', [file('paid-1.0.zip')])
    expect((await server.fetch(await urlOf('paid', 'paid-1.0.zip', 'alice/paid'))).status).toBe(200)
    const sent = (upstream: TestUpstream): unknown[] => [...new Set(upstream.asked.filter(({ path }) => path.includes('paid')).map(({ headers }) => headers.authorization))]
    const basic = (username: string): string => `Basic ${Buffer.from(`${username}:pw of ${username}`).toString('base64')}`
    expect([sent(first), sent(second)]).toEqual([[basic('ann')], [basic('bob')]])
  })
})
