import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packValue } from '#log-format/codec.js'
import type { Origin } from '#log-format/entry.js'
import type { Key } from '#log-format/key-pattern.js'
import { keys } from "#log-format/keys.js"
import type { Mutation } from '#log-format/mutation.js'
import type { ProjectValue } from '#log-format/values.js'
import { Database } from '#server/storage/database.js'
import type { Projection } from '#server/storage/projection.js'
import type { Committed } from '#server/storage/writer.js'
import { Storage } from '#server/storage/storage.js'
import type { StorageOptions } from '#server/storage/storage-options.js'

export interface TempFolder extends AsyncDisposable {
  readonly path: string
}

export async function tempFolder(): Promise<TempFolder> {
  const path = await mkdtemp(join(tmpdir(), 'storage-test-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** Plenty of room unless a test says otherwise. */
export function openStorage(folder: string, options: Partial<StorageOptions> = {}): Promise<Storage> {
  return Storage.open({ folder, projections: [projectNames], freeBytes: () => Promise.resolve(Infinity), ...options })
}

export function origin(time = 1000): Origin {
  return { time, actor: 'alice', via: 'token', request: 'test' }
}

export const someMutation: Mutation = { kind: 'project-removed', user: 'alice', index: 'dev', project: 'demo' }

export function projectKey(project: string, index = 'dev'): Key<ProjectValue> {
  return keys.project({ user: 'alice', index, project })
}

export function project(created: number): ProjectValue {
  return { name: 'Demo', created }
}

/** Sets a project to a number, or deletes it. */
export function setProject(storage: Storage, name: string, created: number | undefined, time = 1000): Promise<Committed<void>> {
  return storage.transact(origin(time), (tx) => {
    if (created === undefined) tx.delete(projectKey(name))
    else tx.set(projectKey(name), project(created))
    tx.record(someMutation)
    return Promise.resolve()
  })
}

/** A row for each project of an index, with what it was before and is now. */
export const projectNames: Projection = {
  name: 'project-names',
  shape: 1,
  fold(change, rows) {
    const hit = keys.project.match(change)
    if (hit === undefined) return
    const row = `${hit.params.index}\0${hit.params.project}`
    if (hit.after === undefined) rows.delete(row)
    else rows.put(row, packValue([hit.before?.created ?? null, hit.after.created, change.serial]))
  },
}

/** Every row of a closed store, as text. */
export async function allRows(folder: string, letters = 'kop'): Promise<[string, string][]> {
  const db = await Database.open(join(folder, 'db'))
  try {
    const found: [string, string][] = []
    for (const letter of letters) {
      const lt = String.fromCharCode(letter.charCodeAt(0) + 1)
      for await (const rows of db.batches({ gte: letter, lt })) {
        for (const [row, value] of rows) found.push([row, Buffer.from(value).toString('hex')])
      }
    }
    return found
  } finally {
    await db.close()
  }
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

/** A refusal's kind, or `undefined` when the promise resolves; faults go on. */
export async function refusalOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise
    return undefined
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'kind' in error) return String(error.kind)
    throw error
  }
}
