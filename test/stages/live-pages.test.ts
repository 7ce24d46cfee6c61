import { keys } from '#log-format/keys.js'
import type { LinkValue, StageIndexValue } from '#log-format/values.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { isCurrent, LivePages, type PageParts } from '#server/stages/live-pages.js'
import { openStage, type OpenStage } from '#server/stages/open-stage.js'
import { Storage } from '#server/storage/storage.js'
import { origin, tempFolder } from '../storage/temp-storage.js'

const INDEXES = ['a', 'b', 'c']
const STAGE: StageIndexValue = {
  type: 'stage',
  created: 1,
  volatile: true,
  acl_upload: [],
  bases: [],
  mirror_whitelist: [],
  mirror_whitelist_inheritance: 'intersection',
}

/** Three indexes of alice that all have `demo`, the first one with the others as its bases. */
async function openTemp(): Promise<{ readonly storage: Storage } & AsyncDisposable> {
  const folder = await tempFolder()
  const storage = await Storage.open({ folder: folder.path, projections: ALL_PROJECTIONS })
  await storage.transact(origin(), (tx) => {
    for (const index of INDEXES) {
      tx.set(keys.index({ user: 'alice', index }), { ...STAGE, bases: index === 'a' ? ['alice/b', 'alice/c'] : [] })
      tx.set(keys.project({ user: 'alice', index, project: 'demo' }), { name: 'demo', created: 1 })
      tx.set(keys.version({ user: 'alice', index, project: 'demo', version: '1.0' }), { created: 1 })
    }
    tx.record({ kind: 'server-initialised' })
    return Promise.resolve()
  })
  for (const index of INDEXES) await addFile(storage, index, `demo-1.0-${index}.zip`)
  return {
    storage,
    [Symbol.asyncDispose]: async () => {
      await storage[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

async function addFile(storage: Storage, index: string, basename: string): Promise<void> {
  const link: LinkValue = { rel: 'releasefile', sha256: 'a'.repeat(64), size: 1, dir: `aaa/${'a'.repeat(13)}`, time: 1, order: 1, log: [] }
  const ref = { user: 'alice', index, project: 'demo', version: '1.0' }
  await storage.transact(origin(), (tx) => {
    tx.set(keys.link({ ...ref, basename }), link)
    tx.record({ kind: 'version-registered', ...ref })
    return Promise.resolve()
  })
}

function stageOf(storage: Storage): Promise<OpenStage> {
  const reader = storage.reader()
  return openStage({ reader, current: reader, ref: { user: 'alice', index: 'a' }, caller: { user: 'root', via: 'token' }, now: 1 })
}

function namesOf(parts: PageParts): string[] {
  return parts.contributions.flatMap(({ snapshot }) => snapshot.runs.flatMap(({ files }) => files.map(({ basename }) => basename)))
}

async function currentParts(storage: Storage, live: LivePages): Promise<PageParts> {
  for (;;) {
    const parts = await live.parts(await stageOf(storage), 'demo')
    if (parts !== 'outdated') return parts
  }
}

test.each([3, 4, 5])('parts that were found while %i cells were too many notice every later change', async (mostCells) => {
  await using temp = await openTemp()
  const { storage } = temp
  using live = new LivePages(storage, () => undefined, { mostCells })
  const parts = await live.parts(await stageOf(storage), 'demo')
  for (const index of INDEXES) {
    const before = parts === 'outdated' ? undefined : { ...parts.basis, serials: parts.basis.cells.map(({ serial }) => serial) }
    await addFile(storage, index, 'demo-1.0-new.zip')
    expect(before !== undefined && isCurrent(before)).toBe(false)
  }
})

test('a project that makes room for others while a page is put together is not taken for current', async () => {
  await using temp = await openTemp()
  const { storage } = temp
  using live = new LivePages(storage, () => undefined, { mostFiles: 1 })
  for (let round = 0; round < 30; round += 1) {
    const finding = currentParts(storage, live)
    for (let turn = 0; turn < round; turn += 1) await Promise.resolve()
    await addFile(storage, INDEXES[round % 3] ?? 'a', `demo-1.0-${round}.zip`)
    const parts = await finding
    if (isCurrent(parts.basis)) expect(namesOf(parts)).toContain(`demo-1.0-${round}.zip`)
  }
})
