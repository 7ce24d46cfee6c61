/**
 * The simple repository API as data: version 1.4 of the JSON form (PEP 691,
 * 700, 714, 740, 792) is the model, HTML (PEP 503, 592, 658) a lesser spelling of it.
 */

export const SIMPLE_API_VERSION = '1.4'

/** Lower-case hex by algorithm name, which is of letters, digits, `-` and `_`; `sha256` where it is known. */
export type Hashes = Readonly<Record<string, string>>

export interface SimpleFile {
  readonly filename: string
  /** Percent-encoded; absolute, or relative to the page; without fragment. */
  readonly url: string
  readonly hashes: Hashes
  /** PEP 345 specifier; absent when the release states none. */
  readonly requiresPython?: string | undefined
  /** Bytes. */
  readonly size?: number | undefined
  /** ms since the epoch, UTC; written as RFC 3339 with a `Z`. */
  readonly uploadTime?: number | undefined
  /** PEP 592: `true`, or the reason, which may be empty. Absent: not yanked. */
  readonly yanked?: true | string | undefined
  /** PEP 658 and 714: `true`, or the hashes of `{url}.metadata`. */
  readonly coreMetadata?: true | Hashes | undefined
  /** PEP 740: URL of the provenance object. */
  readonly provenance?: string | undefined
  /** Which index the file belongs to, `user/index`; shown in HTML before the anchor, not part of JSON. */
  readonly owner?: string
}

/** PEP 792. */
export interface ProjectStatus {
  readonly status: 'active' | 'archived' | 'quarantined' | 'deprecated'
  readonly reason?: string
}

export interface ProjectPage {
  /** Normal form, PEP 503. */
  readonly name: string
  readonly files: readonly SimpleFile[]
  /** PEP 700: every version, also those without files, in ascending order. */
  readonly versions: readonly string[]
  readonly projectStatus?: ProjectStatus
  /** `meta._last-serial`, where the upstream gives one. */
  readonly lastSerial?: number
}

export interface ProjectList {
  readonly projects: readonly { readonly name: string }[]
  readonly lastSerial?: number
}
