import type { LinkValue, MetadataValue } from '#log-format/values.js'
import type { VersionRef } from '#server/commands/lookups.js'

/** A link of a version, on the index that has it. */
export interface StageLink extends VersionRef {
  readonly basename: string
  readonly link: Pick<LinkValue, 'rel' | 'dir' | 'time' | 'order' | 'forFile' | 'yanked'> & {
    /** By algorithm, in hex: sha256, or what an upstream states instead. */
    readonly hashes: { readonly [algorithm: string]: string }
    /** Absent on a mirror. */
    readonly log?: LinkValue['log']
  }
}

/** What one index has of one version. */
export interface Release extends VersionRef {
  readonly metadata: MetadataValue
  /** PEP 592, of the whole version; a reason may be empty. */
  readonly yanked: string | undefined
  /** In the order in which they were added. */
  readonly links: readonly StageLink[]
}
