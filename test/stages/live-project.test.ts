import fc from 'fast-check'
import { keys } from '#log-format/keys.js'
import type { LinkValue } from '#log-format/values.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { LiveProjects } from '#server/stages/live-projects.js'
import { compareProjectVersions, readProjectFiles } from '#server/stages/project-files.js'
import { Storage } from '#server/storage/storage.js'
import type { Transaction } from '#server/storage/transaction.js'
import { origin, tempFolder } from '../storage/temp-storage.js'

const REF = { user: 'alice', index: 'dev', project: 'demo' }

type Step =
  | { readonly kind: 'link'; readonly version: string; readonly file: number; readonly yanked: string | undefined }
  | { readonly kind: 'unlink'; readonly version: string; readonly file: number }
  | { readonly kind: 'version'; readonly version: string; readonly yanked: string | undefined }
  | { readonly kind: 'drop' }
  | { readonly kind: 'look' }

const version = fc.constantFrom('1.0', '1.0.0', '1.0rc1', '2.0', '10.0', '2.0.dev3', 'legacy-x')
const yanked = fc.constantFrom(undefined, '', 'broken')
const file = fc.integer({ min: 0, max: 400 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('link' as const), version, file, yanked }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('unlink' as const), version, file }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('version' as const), version, yanked }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'drop' as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'look' as const }) },
)

test('a project that follows commits is the one that is read afresh', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 60 }), { maxLength: 12 }), async (turns) => {
      await using folder = await tempFolder()
      await using storage = await Storage.open({ folder: folder.path, projections: ALL_PROJECTIONS })
      using live = new LiveProjects(storage)
      for (const [at, steps] of turns.entries()) {
        await storage.transact(origin(at), async (tx) => {
          for (const one of steps) await apply(tx, one)
          tx.record({ kind: 'project-removed', ...REF })
        })
        if (!steps.some(({ kind }) => kind === 'look')) continue
        const { snapshot } = await live.current(REF)
        const fresh = await readProjectFiles(storage.reader(), REF)
        expect(snapshot?.runs.flatMap(({ files }) => files)).toEqual(fresh?.files)
        expect(snapshot?.fileCount).toBe(fresh?.files.length)
        expect(snapshot?.versionList).toEqual(fresh && [...fresh.versions.values()].sort(compareProjectVersions))
      }
    }),
    { numRuns: 40 },
  )
})

// Who came meanwhile once got the project as it was, found that too old, and gave up after asking again and again.
test('who comes while a change is read waits for it', async () => {
  await using folder = await tempFolder()
  await using storage = await Storage.open({ folder: folder.path, projections: ALL_PROJECTIONS })
  using live = new LiveProjects(storage)
  const upload = async (at: number): Promise<void> => {
    await storage.transact(origin(at), async (tx) => {
      await apply(tx, { kind: 'link', version: '1.0', file: at, yanked: undefined })
      tx.record({ kind: 'project-removed', ...REF })
    })
  }
  await upload(0)
  await live.current(REF)
  await upload(1)
  const both = await Promise.all([live.current(REF), live.current(REF)].map(async (found) => {
    const { isCurrent, serial, snapshot } = await found
    return { isCurrent, serial, files: snapshot?.fileCount }
  }))
  const current = { isCurrent: true, serial: storage.head.serial, files: 2 }
  expect(both).toEqual([current, current])
})

async function apply(tx: Transaction, one: Step): Promise<void> {
  if (one.kind === 'look') return
  if (one.kind === 'drop') {
    for await (const { segments } of tx.scan(keys.link.under(...Object.values(REF)))) tx.delete(keys.link(keys.link.params(segments)))
    for await (const { segments } of tx.scan(keys.version.under(...Object.values(REF)))) tx.delete(keys.version(keys.version.params(segments)))
    tx.delete(keys.project(REF))
    return
  }
  const ref = { ...REF, version: one.version }
  tx.set(keys.project(REF), { name: 'demo', created: 0 })
  if (one.kind === 'version') {
    tx.set(keys.version(ref), { created: 0, ...(one.yanked !== undefined && { yanked: one.yanked }) })
    return
  }
  const key = keys.link({ ...ref, basename: `demo-${one.version}-${one.file}.whl` })
  if (one.kind === 'unlink') tx.delete(key)
  else tx.set(key, link(one.yanked))
  if ((await tx.get(keys.version(ref))) === undefined) tx.set(keys.version(ref), { created: 0 })
}

function link(reason: string | undefined): LinkValue {
  return {
    rel: 'releasefile',
    sha256: 'ab'.repeat(32),
    size: 1,
    dir: 'aba/bababababababa',
    time: 0,
    order: 0,
    log: [],
    ...(reason !== undefined && { yanked: reason }),
  }
}
