import type { Serial } from '#log-format/serial.js'
import type { Projection } from './projection.js'
import type { RebuildProgress } from './rebuild.js'

export interface StorageOptions {
  /** The server directory; the database is in its folder `db`. */
  readonly folder: string
  readonly projections: readonly Projection[]
  readonly onRebuild?: (progress: RebuildProgress) => void
  /** Where entries come from: transactions here, unless they come from another node; may be decided by what was noted before. */
  readonly source?: EntrySource | ((known: KnownState) => EntrySource)
  /** Free bytes on the disk of the folder; replaced in tests. */
  readonly freeBytes?: (folder: string) => Promise<number>
}

export type EntrySource = 'transactions' | 'import'

/** What a database says of its node before anything is done with it. */
export interface KnownState {
  readonly head: Serial
  fact(name: string): string | undefined
}
