import fc from 'fast-check'
import { keys } from '#log-format/keys.js'
import type { MirrorFileValue, MirrorIndexValue } from '#log-format/values.js'
import { type AskedMirror, changeMirrorProject } from '#server/commands/mirrors.js'
import type { Storage } from '#server/storage/storage.js'
import { openStorage, tempFolder } from '../storage/temp-storage.js'

const URLS = ['https://a.example/', 'https://b.example/', 'https://c.example/'] as const
const NAMES = ['x-1.0.zip', 'x-2.0.zip'] as const
const DIGESTS = ['a', 'b'].map((digit) => digit.repeat(64))
const RUNS = Number(process.env['PROPERTY_ROUNDS'] ?? 30)

/** What one upstream says: the digest of each file that it has, or `mute` where it states none. */
type Word = Readonly<Partial<Record<string, string>>>
interface Step {
  readonly order: readonly string[]
  readonly at: number
  readonly word: Word
}

const step: fc.Arbitrary<Step> = fc.record({
  order: fc.shuffledSubarray([...URLS], { minLength: 1 }),
  at: fc.nat(2),
  word: fc.record(Object.fromEntries(NAMES.map((name) => [name, fc.constantFrom(...DIGESTS, 'mute')])), { requiredKeys: [] }),
})

let folder: Awaited<ReturnType<typeof tempFolder>>
let storage: Storage
let projects = 0
let time = 1_800_000_000_000

beforeAll(async () => {
  folder = await tempFolder()
  storage = await openStorage(folder.path)
})
afterAll(async () => {
  await storage[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** The mirror gets these upstreams, and the one at `at` says its word. */
async function speak(project: string, { order, at, word }: Step): Promise<string> {
  const [mirror_url = '', ...mirror_fallback_urls] = order
  const upstream = order[at % order.length] ?? ''
  const value: MirrorIndexValue = { type: 'mirror', created: 1, volatile: true, mirror_url, mirror_fallback_urls }
  const mirror: AskedMirror = { user: 'alice', index: 'up', value }
  const origin = { time: (time += 1), actor: '+upstream', via: 'system', request: '0123456789abcdef' } as const
  await storage.transact(origin, async (tx) => {
    tx.set(keys.index(mirror), value)
    tx.record({ kind: 'index-created', user: 'alice', index: 'up', settings: {} })
  })
  const files = Object.entries(word).map(([name, digest]) => ({
    filename: name.replace('x', project),
    url: `${upstream}${name}`,
    hashes: digest === 'mute' || digest === undefined ? {} : { sha256: digest },
  }))
  await storage.transact(origin, (tx) => changeMirrorProject(tx, mirror, { user: 'alice', index: 'up', project, upstream, files }))
  return upstream
}

async function filesOf(project: string): Promise<Map<string, MirrorFileValue>> {
  const found = new Map<string, MirrorFileValue>()
  for await (const { segments, value } of storage.reader().scan(keys.mirrorFile.under('alice', 'up', project))) found.set(segments[3] ?? '', value)
  return found
}

test('whatever upstreams say in whatever order, a digest changes by the word of an upstream that stated it alone, and a word said twice changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 8 }), async (steps) => {
      const project = `p${(projects += 1)}`
      let before = new Map<string, MirrorFileValue>()
      const stated = new Map<string, Set<string>>() // who stated the digest that stands
      for (const one of steps) {
        const speaker = await speak(project, one)
        const after = await filesOf(project)
        for (const [name, { sha256, otherDigests = {} }] of after) {
          const known = before.get(name)?.sha256
          if (known !== undefined && sha256 !== known) expect(stated.get(name)).toContain(speaker)
          if (sha256 !== known) stated.set(name, new Set())
          if (one.word[name.replace(project, 'x')] === sha256) stated.get(name)?.add(speaker)
          expect(Object.values(otherDigests)).not.toContain(sha256)
        }
        const head = storage.head.serial
        await speak(project, one)
        expect(storage.head.serial).toBe(head)
        expect(await filesOf(project)).toEqual(after)
        before = after
      }
    }),
    { numRuns: RUNS },
  )
}, 60_000)
