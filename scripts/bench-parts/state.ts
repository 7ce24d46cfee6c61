import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Origin } from '#log-format/entry.js'
import { keys } from '#log-format/keys.js'
import type { LinkValue, StageIndexValue } from '#log-format/values.js'
import { initialiseServer } from '#server/commands/initialise.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { Storage } from '#server/storage/storage.js'
import type { Transaction } from '#server/storage/transaction.js'
import { secretNames } from '#server/storage/vault.js'
import { PasswordHasher } from '#server/auth/passwords.js'

export const PASSWORD = 'bench'
export const AUTH = `Basic ${Buffer.from(`alice:${PASSWORD}`).toString('base64')}`

/** A store that is filled before the server starts on it, many changes to a batch. */
export class BenchState implements AsyncDisposable {
  readonly storage: Storage
  readonly blobs: DiskBlobs
  #time = 1_700_000_000_000

  private constructor(storage: Storage, blobs: DiskBlobs) {
    this.storage = storage
    this.blobs = blobs
  }

  /** With user alice, who has the password of the bench, and her indexes. */
  static async create(folder: string, indexes: Readonly<Record<string, Partial<StageIndexValue>>>): Promise<BenchState> {
    const storage = await Storage.open({ folder, projections: ALL_PROJECTIONS })
    const state = new BenchState(storage, await DiskBlobs.open(join(folder, 'files')))
    const hasher = new PasswordHasher({ memoryKib: 8, iterations: 1, parallelism: 1, concurrency: 1 })
    const verifier = { verifier: await hasher.hash(PASSWORD), id: 'bench' }
    await state.change((tx) => initialiseServer(tx, { verifier, withPypi: true }))
    await state.change((tx) => {
      tx.set(keys.user({ user: 'alice' }), { created: 1 })
      tx.secrets.set(secretNames.user('alice'), verifier)
      tx.record({ kind: 'user-created', user: 'alice' })
    })
    for (const [index, settings] of Object.entries(indexes)) {
      await state.change((tx) => {
        const value: StageIndexValue = { type: 'stage', created: 1, volatile: true, acl_upload: ['alice'], bases: [], mirror_whitelist: [], mirror_whitelist_inheritance: 'intersection', ...settings }
        tx.set(keys.index({ user: 'alice', index }), value)
        tx.record({ kind: 'index-created', user: 'alice', index, settings: {} })
      })
    }
    return state
  }

  async change(turn: (tx: Transaction) => void | Promise<void>): Promise<void> {
    await this.storage.transact(this.#origin(), async (tx) => turn(tx))
  }

  /** A project with so many links, ten to a version, in one entry. */
  async addProject(index: string, project: string, links: number): Promise<void> {
    await this.change((tx) => {
      tx.set(keys.project({ user: 'alice', index, project }), { name: project, created: 1 })
      for (let at = 0; at < links; at += 1) setLink(tx, index, project, at)
      tx.record({ kind: 'version-registered', user: 'alice', index, project, version: '1' })
    })
  }

  /** Entries that touch none of the projects. */
  async addFiller(count: number): Promise<void> {
    const together = 512
    for (let start = 0; start < count; start += together) {
      await Promise.all(
        Array.from({ length: Math.min(together, count - start) }, (_, at) =>
          this.change((tx) => {
            tx.set(keys.project({ user: 'filler', index: 'dev', project: `p${(start + at) % 5000}` }), { name: `${start + at}`, created: start + at })
            tx.record({ kind: 'version-registered', user: 'filler', index: 'dev', project: 'p', version: '1' })
          }),
        ),
      )
    }
  }

  async addProjects(index: string, count: number): Promise<void> {
    const together = 5000
    for (let start = 0; start < count; start += together) {
      await this.change((tx) => {
        for (let at = start; at < Math.min(start + together, count); at += 1) {
          const project = `project-${String(at).padStart(6, '0')}`
          tx.set(keys.project({ user: 'alice', index, project }), { name: project, created: 1 })
        }
        tx.record({ kind: 'version-registered', user: 'alice', index, project: 'many', version: '1' })
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.blobs[Symbol.asyncDispose]()
    await this.storage[Symbol.asyncDispose]()
  }

  #origin(): Origin {
    this.#time += 1
    return { time: this.#time, actor: 'alice', via: 'token', request: '0123456789abcdef' }
  }
}

function setLink(tx: Transaction, index: string, project: string, at: number): void {
  const version = `${1 + Math.floor(at / 10)}.0`
  const sha256 = createHash('sha256').update(`${project} ${at}`).digest('hex')
  const link: LinkValue = {
    rel: 'releasefile',
    sha256,
    size: 50_000,
    dir: `${sha256.slice(0, 3)}/${sha256.slice(3, 16)}`,
    time: 1_700_000_000_000,
    order: at,
    log: [{ what: 'upload', who: 'alice', when: 1_700_000_000_000, dst: `alice/${index}` }],
    requiresPython: '>=3.9',
    coreMetadata: { sha256, size: 1000 },
  }
  if (at % 10 === 0) tx.set(keys.version({ user: 'alice', index, project, version }), { created: 1 })
  tx.set(keys.link({ user: 'alice', index, project, version, basename: `${project}-${version}-${at % 10}-py3-none-any.whl` }), link)
}
