import { createHash } from 'node:crypto'
import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { userSecretOf } from '#server/auth/user-secret.js'
import { createIndex } from '#server/commands/indexes.js'
import { indexName } from '#server/commands/lookups.js'
import type { Placement } from '#server/commands/releases.js'
import { checkUpload, uploadFile, type UploadFile } from '#server/commands/uploads.js'
import { createUser } from '#server/commands/users.js'
import { metadataFromCore } from '#server/packaging/core-metadata.js'
import { readCoreMetadata } from '#server/packaging/dist-archive.js'
import type { BlobStore } from '#server/storage/blob-store.js'
import { openBytes } from '#server/storage/open-blob.js'
import type { Storage } from '#server/storage/storage.js'
import type { Transaction } from '#server/storage/transaction.js'
import { metadataText, type ReleaseFile, sdist, wheel } from '#test/support/archives.js'
import type { PlannedRelease, SeedPlan } from './plan.js'

/** Where a plan is carried out. */
export interface SeedBed {
  readonly storage: Storage
  readonly blobs: BlobStore
  /** argon2 verifier of the password that all new users get. */
  readonly verifier: string
  /** Of the next entry, ms since the epoch. */
  readonly nextTime: () => number
  /** Called now and then with the number of releases done. */
  readonly onProgress: (releases: number) => void
}

/** How many of each were not there before. */
export interface Sown {
  readonly users: number
  readonly indexes: number
  readonly projects: number
  readonly versions: number
  readonly files: number
}

/** Whose files are stored at the same time; then their entries wait together. */
const RELEASES_TOGETHER = 64
const CHANGES_TOGETHER = 256

/**
 * Adds to a server directory what a plan has and it has not, through the
 * server's own commands and in the plan's order: what is there stays as it is.
 * Refuses as these commands do, for instance uploads to an index that was
 * given to somebody else.
 */
export async function sow(plan: SeedPlan, bed: SeedBed): Promise<Sown> {
  const users = await sowUsers(plan, bed)
  const indexes = await sowIndexes(plan, bed)
  const sown = { users, indexes, projects: 0, versions: 0, files: 0 }
  let done = 0
  for (const releases of grouped(plan.releases(), RELEASES_TOGETHER)) {
    const wanted = releases.flatMap((release) => filesOf(release).map((file) => uploadOf(release, file)))
    for (const { project, version, file } of await sowFiles(wanted, bed)) {
      sown.projects += project
      sown.versions += version
      sown.files += file
    }
    bed.onProgress((done += releases.length))
  }
  return sown
}

async function sowUsers(plan: SeedPlan, bed: SeedBed): Promise<number> {
  let added = 0
  for (const users of grouped(plan.users, CHANGES_TOGETHER)) {
    const results = users.map((user) =>
      transact(bed, '+system', async (tx) => {
        if ((await tx.get(keys.user({ user }))) !== undefined) return 0
        const caller = { user: 'root', via: 'system' } as const
        await createUser(tx, { caller, user, fields: { title: 'a seeded user' }, verifier: userSecretOf(bed.verifier) })
        return 1
      }),
    )
    added += sum(await allOf(results))
  }
  return added
}

async function sowIndexes(plan: SeedPlan, bed: SeedBed): Promise<number> {
  let added = 0
  for (const indexes of grouped(plan.indexes(), CHANGES_TOGETHER)) {
    const results = indexes.map((index) =>
      transact(bed, index.user, async (tx) => {
        if ((await tx.get(keys.index(index))) !== undefined) return 0
        await createIndex(tx, { ...index, caller: { user: index.user, via: 'system' } })
        return 1
      }),
    )
    added += sum(await allOf(results))
  }
  return added
}

interface PlannedUpload {
  readonly bytes: Uint8Array
  readonly input: Promise<UploadFile>
}

interface Added {
  readonly project: number
  readonly version: number
  readonly file: number
}

/** Blobs first, all of them durable before the first entry that names one. */
async function sowFiles(wanted: readonly PlannedUpload[], bed: SeedBed): Promise<Added[]> {
  const pins: Disposable[] = []
  try {
    const missing = await allOf(
      wanted.map(async ({ bytes, input }) => {
        const upload = await input
        if ((await placementOf(bed, upload)) === 'identical') return []
        pins.push(await bed.blobs.putBytes(bytes))
        return [upload]
      }),
    )
    return await allOf(missing.flat().map((upload) => transact(bed, upload.user, (tx) => addFile(tx, upload))))
  } finally {
    for (const pin of pins) pin[Symbol.dispose]()
  }
}

/** Says of which file a refusal speaks: whoever reads it named none. */
async function placementOf(bed: SeedBed, upload: UploadFile): Promise<Placement> {
  try {
    return await checkUpload(bed.storage.reader(), upload)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    throw new Refusal(error.kind, `${upload.basename} cannot be added to ${indexName(upload)}: ${error.message}`, { cause: error })
  }
}

async function addFile(tx: Transaction, upload: UploadFile): Promise<Added> {
  const project = (await tx.get(keys.project(upload))) === undefined
  const version = (await tx.get(keys.version(upload))) === undefined
  await uploadFile(tx, upload)
  return { project: Number(project), version: Number(version), file: 1 }
}

function filesOf({ project, version, metadata }: PlannedRelease): ReleaseFile[] {
  const headers = { ...metadata, 'Description-Content-Type': 'text/markdown' }
  const text = `${metadataText(project, version, headers)}\n# ${project}\n\nMade up to fill a server, ${project} ${version} does nothing.\n`
  return [wheel(project, version, { metadataText: text }), sdist(project, version, { metadataText: text })]
}

function uploadOf(release: PlannedRelease, { filename, bytes }: ReleaseFile): PlannedUpload {
  const { user, index, project, version } = release
  const describe = async (): Promise<UploadFile> => {
    const archived = await readCoreMetadata(openBytes(bytes), filename)
    if (archived.kind === 'absent') throw new Error(`${filename} was made without metadata`)
    const metadata = metadataFromCore(archived.metadata)
    const { requires_python: requiresPython } = metadata
    return {
      caller: { user, via: 'system' },
      ...{ user, index, project, name: project, version, metadata },
      ...{ basename: filename, ...contentOf(bytes) },
      requiresPython: typeof requiresPython === 'string' ? requiresPython : undefined,
      coreMetadata: filename.endsWith('.whl') ? contentOf(archived.bytes) : undefined,
    }
  }
  return { bytes, input: describe() }
}

function contentOf(bytes: Uint8Array): { readonly sha256: string; readonly size: number } {
  return { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length }
}

async function transact<T>(bed: SeedBed, actor: string, turn: (tx: Transaction) => Promise<T>): Promise<T> {
  const { result } = await bed.storage.transact({ time: bed.nextTime(), actor, via: 'system', request: 'seed' }, turn)
  return result
}

function* grouped<T>(items: Iterable<T>, most: number): Generator<T[]> {
  let group: T[] = []
  for (const item of items) {
    group.push(item)
    if (group.length < most) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** As `Promise.all`, but when one fails the others are over, too: what they use may be closed after it. */
async function allOf<T>(running: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(running)
  return Promise.all(running)
}
