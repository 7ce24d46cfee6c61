import { type ReleaseFile, sdist, wheel } from '#test/support/archives.js'
import { startServer, type TestServer, TestUser } from '#test/support/server.js'
import { SIMPLE_JSON, TestUpstream, type UpstreamFile } from '#test/support/upstream.js'

const DAY = 86_400_000
const JSON_ONLY = { Accept: 'application/json' }

let upstream: TestUpstream
let server: TestServer
let alice: TestUser
let time = Date.parse('2026-03-01T00:00:00Z')

beforeAll(async () => {
  upstream = await TestUpstream.start()
  server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] }, now: () => time })
  await server.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_cache_expiry: 100 } })
  alice = new TestUser(server.fetch, 'alice', 'alice secret') // a login would not last for days
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  expect(server.log.filter((line) => line.includes('"level":50'))).toEqual([])
})
beforeEach(() => { time += DAY })

async function ok(reply: Promise<Response>): Promise<Response> {
  const found = await reply
  if (!found.ok) throw new Error(`${found.url}: ${found.status} ${await found.text()}`)
  return found
}

interface Page {
  readonly names: readonly string[]
  readonly versions: readonly string[]
  readonly urls: readonly string[]
  readonly policy: string | null
  readonly etag: string | null
  readonly status: number
}

async function page(index: string, project: string, headers: Record<string, string> = {}): Promise<Page> {
  const path = `/${index}/+simple/${project}/`
  const reply = await server.fetch(path, { headers: { Accept: SIMPLE_JSON, ...headers } })
  const body = reply.status === 200 ? ((await reply.json()) as { files: { filename: string; url: string }[]; versions: string[] }) : { files: [], versions: [] }
  const html = await (await server.fetch(path, { headers: { Accept: 'text/html' } })).text()
  for (const { filename } of body.files) expect(html).toContain(filename)
  expect(html.match(/<a /g)?.length ?? 0).toBe(reply.status === 200 ? body.files.length : html.match(/<a /g)?.length ?? 0)
  return {
    names: body.files.map(({ filename }) => filename),
    versions: body.versions,
    urls: body.files.map(({ url }) => new URL(url, server.url + path).pathname),
    policy: reply.headers.get('x-devpi-policy'),
    etag: reply.headers.get('etag'),
    status: reply.status,
  }
}

async function index(name: string, settings: object): Promise<string> {
  await ok(alice.put(`/alice/${name}`, settings))
  return `alice/${name}`
}

/** Files of one project on an index of its own, and where they are. */
async function releases(name: string, files: readonly ReleaseFile[], settings: object = {}): Promise<{ readonly index: string; readonly paths: readonly string[] }> {
  const at = await index(name, settings)
  for (const file of files) await ok(alice.upload(at, file))
  return { index: at, paths: (await page(at, 'demo')).urls }
}

const setting = (at: string, settings: object): Promise<Response> => ok(alice.patch(`/${at}`, settings))

function mirrored(filename: string, uploaded?: number): UpstreamFile {
  return { filename, content: Buffer.from(filename), fields: uploaded === undefined ? {} : { 'upload-time': new Date(uploaded).toISOString() } }
}

/** Every road to a file. */
async function statuses(path: string): Promise<number[]> {
  const asked: RequestInit[] = [{}, { method: 'HEAD' }, { headers: { Range: 'bytes=0-3' } }, { headers: { 'If-None-Match': '*' } }, { headers: JSON_ONLY }]
  const found: number[] = []
  for (const init of [...asked, ...asked]) found.push((await server.fetch(path, init)).status)
  return [...new Set(found)].sort()
}

test('a rule hides a version on every road, and only there', async () => {
  const { index: at, paths } = await releases('roads', [wheel('demo', '1.0'), wheel('demo', '2.0'), sdist('demo', '2.0')])
  const other = await releases('same', [wheel('demo', '2.0')])
  const path = paths.find((one) => one.includes('2.0') && one.endsWith('.whl')) ?? ''
  const serial = server.head()
  const report = ((await (await ok(alice.post(path, { testenvs: {} }))).json()) as { result: string }).result
  for (const one of [path, `${path}.metadata`, `/${report.split('#')[0]}`]) expect(await statuses(one)).toEqual(expect.arrayContaining([200, 304]))
  const before = await page(at, 'demo')
  expect(before).toMatchObject({ policy: null, versions: ['1.0', '2.0'] })
  const child = await index('roads-child', { bases: [at] })

  await setting(at, { constraints: ['demo<2'] })
  for (const shown of [at, child]) {
    const now = await page(shown, 'demo')
    expect(now).toMatchObject({ names: ['demo-1.0-py3-none-any.whl'], versions: ['1.0'], policy: 'hidden=2' })
    expect(now.etag).not.toBe(before.etag)
    expect(await page(shown, 'demo', { 'If-None-Match': now.etag ?? '' })).toMatchObject({ status: 304, policy: 'hidden=2' })
    const project = (await (await server.fetch(`/${shown}/demo`, { headers: JSON_ONLY })).json()) as { result: object }
    expect(Object.keys(project.result)).toEqual(['1.0'])
    expect((await server.fetch(`/${shown}/demo/2.0`, { headers: JSON_ONLY })).status).toBe(404)
    expect((await server.fetch(`/${shown}/demo/2.0/+toxresults`, { headers: JSON_ONLY })).status).toBe(404)
  }
  expect(await page(`${at}/+at/${serial}`, 'demo')).toMatchObject({ names: ['demo-1.0-py3-none-any.whl'], versions: ['1.0'], policy: 'hidden=2' })
  for (const one of [path, `${path}.metadata`, `/${report.split('#')[0]}`, path.replace('/+f/', `/+at/${serial}/+f/`)]) expect(await statuses(one)).toEqual([403])
  expect(await (await server.fetch(path, { headers: JSON_ONLY })).json()).toEqual({ message: 'demo-2.0-py3-none-any.whl is hidden by constraints=demo<2 of alice/roads' })
  expect((await server.fetch(other.paths[0] ?? '')).status).toBe(200)
  const push = await alice.post(`/${at}`, { name: 'demo', version: '2.0', targetindex: 'alice/same' })
  expect([push.status, await push.text()]).toEqual([403, expect.stringContaining('is hidden by')])
  expect((await alice.post(`/${at}`, { name: 'demo', version: '1.0', targetindex: 'alice/same' })).status).toBe(200)

  await setting(at, { constraints: null })
  expect(await page(at, 'demo')).toMatchObject({ names: before.names, policy: null })
  expect(await statuses(path)).toEqual(expect.arrayContaining([200, 304]))
})

test('a page that was answered from memory changes in the moment an age lifts, and its ETag with it', async () => {
  const { index: at, paths } = await releases('aging', [wheel('demo', '1.0')])
  const entered = time
  time += 2 * DAY
  await ok(alice.upload(at, wheel('demo', '2.0')))
  await setting(at, { min_release_age: '3d' })
  expect(await page(at, 'demo')).toMatchObject({ names: [], versions: [], policy: `hidden=2, lifts=${new Date(entered + 3 * DAY).toISOString()}` })
  time = entered + 3 * DAY - 1
  const none = await page(at, 'demo')
  expect(none.names).toEqual([])
  expect((await server.fetch(paths[0] ?? '')).status).toBe(403)
  time += 1
  const one = await page(at, 'demo', { 'If-None-Match': none.etag ?? '' })
  expect(one).toMatchObject({ status: 200, names: ['demo-1.0-py3-none-any.whl'], versions: ['1.0'], policy: `hidden=1, lifts=${new Date(entered + 5 * DAY).toISOString()}` })
  expect((await server.fetch(paths[0] ?? '')).status).toBe(200)
  expect((await page(at, 'demo')).etag).toBe(one.etag)
  time += 2 * DAY
  expect(await page(at, 'demo')).toMatchObject({ versions: ['1.0', '2.0'], policy: null })
})

test('an exemption opens until its moment', async () => {
  const { index: at, paths } = await releases('exempt', [wheel('demo', '1.0'), wheel('demo', '1.1')])
  const until = new Date(time + DAY).toISOString()
  await setting(at, { constraints: ['!demo'], policy_exemptions: [`demo==1.0 until ${until} because it is urgent, and checked`] })
  expect(await page(at, 'demo')).toMatchObject({ versions: ['1.0'], policy: 'hidden=1' })
  const path = paths.find((one) => one.includes('1.0')) ?? ''
  expect((await server.fetch(path)).status).toBe(200)
  time += DAY
  expect(await page(at, 'demo')).toMatchObject({ versions: [], policy: 'hidden=2' })
  expect((await server.fetch(path)).status).toBe(403)
})

test('a freeze keeps what was there', async () => {
  const { index: at } = await releases('frozen', [wheel('demo', '1.0')])
  await setting(at, { freeze_at: new Date(time).toISOString() })
  time += 1000
  await ok(alice.upload(at, wheel('demo', '2.0')))
  expect(await page(at, 'demo')).toMatchObject({ versions: ['1.0'], policy: 'hidden=1' })
})

test('the policy of a base holds for what comes through it, on whatever way, and for nothing else', async () => {
  const { index: far } = await releases('far', [wheel('demo', '1.0')])
  const base = await index('strict', { bases: [far], constraints: ['!demo'] })
  const child = await index('lax', { bases: [base, far] })
  await ok(alice.upload(child, wheel('demo', '3.0')))
  expect(await page(child, 'demo')).toMatchObject({ versions: ['3.0'], policy: 'hidden=1' })
  expect((await page(far, 'demo')).versions).toEqual(['1.0'])
  await setting(far, { bases: [child] }) // a circle: what an index has itself is a matter of its own policy
  expect((await page(far, 'demo')).versions).toContain('1.0')
  expect((await page(child, 'demo')).versions).toEqual(['3.0'])
})

test('a hidden file keeps its name from those behind it', async () => {
  const { index: base } = await releases('behind', [wheel('demo', '1.0', { padding: 10 }), wheel('demo', '1.1')])
  const { index: front } = await releases('front', [wheel('demo', '1.0')], { bases: [base] })
  expect((await page(front, 'demo')).versions).toEqual(['1.0', '1.1'])
  await setting(base, { constraints: ['demo!=1.1'] })
  expect(await page(front, 'demo')).toMatchObject({ versions: ['1.0'], policy: 'hidden=1' })
  await setting(front, { constraints: ['demo!=1.0'] })
  await setting(base, { constraints: null })
  expect(await page(front, 'demo')).toMatchObject({ versions: ['1.1'], policy: 'hidden=1' })
  const project = (await (await server.fetch(`/${front}/demo`, { headers: JSON_ONLY })).json()) as { result: object }
  expect(Object.keys(project.result)).toEqual(['1.1'])
})

test('of a mirror, the later of two clocks counts for what came while it was watched, and unknown is new', async () => {
  const child = await index('of-mirror', { bases: ['alice/mirror'], min_release_age: '7d' })
  upstream.project('clocks', [mirrored('clocks-1.0.zip', time - 30 * DAY), mirrored('clocks-1.1.zip', time - DAY), mirrored('clocks-1.2.zip')])
  expect(await page(child, 'clocks')).toMatchObject({ versions: ['1.0'], policy: `hidden=2, lifts=${new Date(time + 6 * DAY).toISOString()}` })
  const all = [mirrored('clocks-1.0.zip', time - 30 * DAY), mirrored('clocks-1.1.zip', time - DAY), mirrored('clocks-1.2.zip')]
  time += DAY
  upstream.project('clocks', [...all, mirrored('clocks-0.9.zip', time - 400 * DAY)]) // says it is old, and was not there
  expect(await page(child, 'clocks')).toMatchObject({ versions: ['1.0'], policy: expect.stringContaining('hidden=3') as string })
  time += 5 * DAY
  expect((await page(child, 'clocks')).versions).toEqual(['1.0', '1.1'])
  time += DAY
  expect((await page(child, 'clocks')).versions).toEqual(['1.0', '1.1', '1.2'])
  time += DAY
  const { urls, versions } = await page(child, 'clocks')
  expect(versions).toEqual(['0.9', '1.0', '1.1', '1.2'])
  expect(urls[0]).toMatch(/^\/alice\/mirror\/\+f\//)
})

test('other bytes under a known name are new', async () => {
  const child = await index('of-replaced', { bases: ['alice/mirror'], min_release_age: '7d' })
  const old = { 'upload-time': new Date(time - 30 * DAY).toISOString() }
  upstream.project('swapped', [{ filename: 'swapped-1.0.zip', content: Buffer.from('good'), fields: old }])
  expect((await page(child, 'swapped')).versions).toEqual(['1.0'])
  time += DAY
  upstream.project('swapped', [{ filename: 'swapped-1.0.zip', content: Buffer.from('evil'), fields: old }])
  expect((await page(child, 'swapped')).versions).toEqual([])
})

test('a policy of the mirror itself holds for its files, cold and warm, and nothing hidden is fetched', async () => {
  upstream.project('fetched', [mirrored('fetched-1.0.zip'), mirrored('fetched-2.0.zip')])
  const { urls } = await page('alice/mirror', 'fetched')
  const warm = urls.find((path) => path.includes('1.0')) ?? ''
  const cold = urls.find((path) => path.includes('2.0')) ?? ''
  expect((await server.fetch(warm)).status).toBe(200)
  const head = server.head()
  await setting('alice/mirror', { constraints: ['!fetched'] })
  for (const path of [warm, cold, warm.replace('/+f/', `/+at/${head}/+f/`)]) expect(await statuses(path)).toEqual([403])
  expect(upstream.count('/files/fetched/fetched-2.0.zip')).toBe(0)
  await setting('alice/mirror', { constraints: null })
  expect((await server.fetch(cold)).status).toBe(200)
})

test('who may not change the settings may not clone a policy away', async () => {
  const { index: at } = await releases('cloned', [wheel('demo', '1.0')], { constraints: ['!demo'] })
  const bob = await server.signUp('bob')
  const reply = await bob.put('/bob/copy', { clone: at, constraints: null })
  expect(reply.status).toBe(403)
  expect((await alice.put('/alice/copy', { clone: at })).status).toBe(200)
  expect(await page('alice/copy', 'demo')).toMatchObject({ names: [], policy: 'hidden=1' })
})

test.each<[string, object, string]>([
  ['an age without unit', { min_release_age: '7' }, 'duration such as 7d'],
  ['an age that is a number', { min_release_age: 7 }, 'duration such as 7d'],
  ['a time that is none', { freeze_at: '2026-02-31' }, 'time such as'],
  ['a constraint that is none', { constraints: ['requests>2', 'requests 2'] }, 'requests 2'],
  ['constraints that are no list', { constraints: 5 }, 'Unknown list value'],
  ['too many constraints', { constraints: Array.from({ length: 1001 }, (_, at) => `a${at}`) }, '1000 lines'],
  ['a constraint too long', { constraints: [`a==${'1'.repeat(300)}`] }, 'lines such as'],
  ['an exemption without reason', { policy_exemptions: ['a==1 until 2027-01-01'] }, 'until 2026-12-24 because'],
  ['all options at once', { min_release_age: 'x', freeze_at: 'y' }, ','],
])('refused with a sentence: %s', async (_, settings, sentence) => {
  const head = server.head()
  for (const reply of [await alice.patch('/alice/mirror', settings), await alice.put('/alice/refused', settings)]) {
    expect([reply.status, await reply.text()]).toEqual([400, expect.stringContaining(sentence)])
  }
  expect(server.head()).toBe(head)
})

test('settings come as texts and operations, too, and are read back as they are stored', async () => {
  const at = await index('texts', { constraints: 'requests>=2.31,<3,!leftpad', min_release_age: ' 7D ', freeze_at: '2026-01-01' })
  await setting(at, ['constraints+=a>=1,<2', 'policy_exemptions+=a==1 until 2027-01-01 because b, c', 'constraints-=!leftpad'])
  const { result } = (await (await alice.get(`/${at}?no_projects`)).json()) as { result: object }
  expect(result).toMatchObject({
    constraints: ['requests>=2.31,<3', 'a>=1,<2'],
    min_release_age: '7d',
    freeze_at: '2026-01-01T00:00:00.000Z',
    policy_exemptions: ['a==1 until 2027-01-01 because b, c'],
  })
  await setting(at, { ...result })
  await setting(at, ['constraints-=', 'freeze_at-=', 'min_release_age-=', 'policy_exemptions-='])
  expect(Object.keys(((await (await alice.get(`/${at}?no_projects`)).json()) as { result: object }).result)).not.toContain('freeze_at')
})

interface Why {
  readonly asked: readonly { readonly index: string; readonly decision: string; readonly [field: string]: unknown }[]
  readonly [field: string]: unknown
}

async function why(at: string, project: string, user?: TestUser): Promise<Why> {
  const reply = await (user ?? server).fetch(`/${at}/+why/${project}`, { headers: JSON_ONLY })
  return ((await ok(Promise.resolve(reply))).json() as Promise<{ result: Why }>).then(({ result }) => result)
}

describe('+why', () => {
  test('says of each index in resolution order what it has and what became of it', async () => {
    const { index: base } = await releases('why-base', [wheel('demo', '1.0'), wheel('demo', '2.0')], { constraints: ['demo<2'] })
    const at = await index('why-top', { bases: [base, 'alice/mirror'] })
    await ok(alice.upload(at, wheel('demo', '1.0', { padding: 5 })))
    const asked = upstream.asked.length
    expect(await why(at, 'Demo')).toEqual({
      index: at,
      project: 'demo',
      asked: [
        { index: at, type: 'stage', decision: 'shown', reason: `${at} has it`, files: 1, versions: ['1.0'], shown: 1, hidden: 0, outranked: 0 },
        { index: base, type: 'stage', decision: 'shown', reason: `${base} has it`, files: 2, versions: ['1.0', '2.0'], shown: 0, hidden: 1, outranked: 1 },
        { index: 'alice/mirror', type: 'mirror', decision: 'shadowed', reason: 'alice/mirror is a mirror, and its upstream was not asked: the name is private', shown: 0, hidden: 0, outranked: 0 },
      ],
      mirrors: { open: false, reason: `${at} and ${base} has demo, and no whitelist opens it` },
      sees: { files: 1, versions: ['1.0'], newest: '1.0' },
      hidden: [{ file: 'demo-2.0-py3-none-any.whl', version: '2.0', index: base, rules: [{ option: 'constraints', index: base, value: 'demo<2' }] }],
      hiddenCount: 1,
      disagreements: [],
    })
    expect(upstream.asked).toHaveLength(asked)
    expect(await why(at, 'nothing-here')).toMatchObject({ mirrors: { open: true }, sees: { files: 0, newest: null } })
    expect(upstream.count('/simple/nothing-here/')).toBe(1)
  })

  test('says when an age lifts, what a whitelist opened, and that an upstream fails', async () => {
    const at = await index('why-open', { bases: ['alice/mirror'], min_release_age: '2d', mirror_whitelist: ['opened'] })
    await ok(alice.upload(at, wheel('opened', '1.0')))
    upstream.project('opened', [mirrored('opened-3.0.zip', time - 9 * DAY)])
    const until = new Date(time + 2 * DAY).toISOString()
    expect(await why(at, 'opened')).toMatchObject({
      asked: [{ decision: 'shown', hidden: 1 }, { decision: 'shown', shown: 1 }],
      mirrors: { open: true, reason: `the whitelist as far as ${at} opens opened` },
      sees: { versions: ['3.0'] },
      hidden: [{ file: 'opened-1.0-py3-none-any.whl', until, rules: [{ until, value: '2d' }] }],
    })
    upstream.on('/simple/broken/', (_request, response) => void response.writeHead(500).end())
    expect(await why(at, 'broken')).toMatchObject({ asked: [{ decision: 'absent' }, { decision: 'failed', reason: expect.stringContaining('nothing is stored of it') as string }] })
  })

  test('keeps what the caller may not read for itself', async () => {
    const secret = await index('why-secret', { acl_read: ['alice'], constraints: ['!demo'] })
    const { index: far } = await releases('why-far', [wheel('demo', '1.0')])
    await setting(secret, { bases: [far] })
    await ok(alice.upload(secret, wheel('closed', '1.0')))
    const at = await index('why-open-top', { bases: [secret, 'alice/mirror'] })
    const demo = await why(at, 'demo')
    expect(demo).toMatchObject({ asked: [{ index: at }, { index: far, hidden: 1 }, { decision: 'shadowed' }], hidden: [{ index: far, rules: [{ option: 'constraints' }] }] })
    for (const project of ['demo', 'closed']) expect(JSON.stringify(await why(at, project))).not.toContain('secret')
    expect(await why(at, 'closed')).toMatchObject({ mirrors: { open: false, reason: 'an index that you may not read has closed, and no whitelist opens it' } })
    expect((await server.fetch(`/${secret}/+why/demo`, { headers: JSON_ONLY })).status).toBe(401)
    expect(JSON.stringify(await why(at, 'demo', alice))).toContain('!demo')
  })

  test.each([['/alice/none/+why/demo', 404], [`/alice/mirror/+why/${'a'.repeat(300)}`, 400], ['/alice/mirror/+why/-a', 400], ['/alice/mirror/+why/', 404]])('%s is %d', async (path, status) => {
    expect((await server.fetch(path, { headers: JSON_ONLY })).status).toBe(status)
  })
})

describe('a simulation', () => {
  test('tells what a policy would take off pages, and what it would put back', async () => {
    const { index: at } = await releases('simulated', [wheel('demo', '1.0'), wheel('demo', '2.0')], { constraints: ['demo<2'] })
    const bare = await index('simulated-top', { bases: [at] })
    await ok(alice.upload(bare, wheel('other', '1.0')))
    const head = server.head()
    const simulate = async (on: string, body: object): Promise<unknown> => ((await (await ok(alice.post(`/${on}/+policy-simulate`, body))).json()) as { result: unknown }).result
    expect(await simulate(at, { constraints: ['demo>=2'] })).toEqual({
      projects: [
        {
          project: 'demo',
          files: 1,
          hides: 1,
          shows: 1,
          newest: { now: '1.0', then: '2.0' },
          hidden: [{ file: 'demo-1.0-py3-none-any.whl', version: '1.0', index: at, rules: [{ option: 'constraints', index: at, value: 'demo>=2' }] }],
        },
      ],
      looked: { projects: 1, files: 2, hides: 1 },
      next: null,
    })
    expect(await simulate(at, { constraints: null })).toMatchObject({ projects: [{ hides: 0, shows: 1 }] })
    expect(await simulate(at, {})).toMatchObject({ projects: [], looked: { projects: 1 } })
    expect(await simulate(bare, { min_release_age: '1d' })).toMatchObject({ projects: [{ project: 'demo', hides: 1 }, { project: 'other', hides: 1 }] })
    expect(await simulate(bare, { min_release_age: '1d', after: 'demo' })).toMatchObject({ projects: [{ project: 'other' }] })
    expect(await simulate(bare, { min_release_age: '1d', projects: ['Demo', 'unknown'] })).toMatchObject({ projects: [{ project: 'demo' }], looked: { projects: 2 } })
    expect(server.head()).toBe(head)
  })

  test('ends in time and goes on where it was', async () => {
    const at = await index('simulated-many', {})
    for (let count = 0; count < 3; count += 1) await ok(alice.upload(at, wheel(`many${count}`, '1.0')))
    const projects = Array.from({ length: 600 }, (_, count) => `many${count}`)
    const first = (await (await alice.post(`/${at}/+policy-simulate`, { constraints: ['!*'], projects })).json()) as { result: { next: string; looked: object } }
    expect(first.result).toMatchObject({ looked: { projects: 500 }, projects: [{ project: 'many0' }, { project: 'many1' }, { project: 'many2' }] })
    const second = (await (await alice.post(`/${at}/+policy-simulate`, { constraints: ['!*'], projects, after: first.result.next })).json()) as { result: object }
    expect(second.result).toMatchObject({ looked: { projects: 100 }, next: null })
  })

  test.each<[object, number]>([
    [{ min_release_age: '7' }, 400],
    [{ volatile: true }, 400],
    [{ projects: 'demo' }, 400],
    [{ projects: Array.from({ length: 1001 }, (_, at) => `a${at}`) }, 400],
    [{ projects: ['-a'] }, 400],
    [{ after: 5 }, 400],
  ])('refused: %j', async (body, status) => {
    const reply = await alice.post('/alice/mirror/+policy-simulate', body)
    expect([reply.status, ((await reply.json()) as { message: string }).message.length > 10]).toEqual([status, true])
  })
})
