import type { Serial } from './serial.js'

/** What may stand under a key or in a mutation: JSON with integers and finite floats, no `undefined`. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue }

/** `{user}/.config`. Times are ms since the epoch. Verifiers are in the vault, never here. */
export interface UserValue {
  readonly created: number
  readonly modified?: number
  readonly email?: JsonValue
  readonly title?: JsonValue
  readonly description?: JsonValue
  readonly custom_data?: JsonValue
}

/** `+groups/{group}/+group`: a group of users. Times are ms since the epoch. */
export interface GroupValue {
  readonly created: number
}

/** `+groups/{group}/{user}/+member`: that the user is in the group, and since when. */
export interface MemberValue {
  readonly since: number
}

/** How much of what its user may do a token may do. Words that are not known here admit to nothing. */
export interface TokenScope {
  /** Of `read`, `upload`, `delete` and `admin`. */
  readonly actions: readonly string[]
  /** `user/index` each, or `*` alone for all of them and for what belongs to no index. */
  readonly indexes: readonly string[]
}

/** `{user}/+token/{id}`: the public part of an API token. Times are ms since the epoch; without `expires` it has no end. */
export interface TokenValue extends TokenScope {
  readonly name: string
  readonly created: number
  readonly expires?: number
}

/** What both types of index have. */
interface IndexCommon {
  readonly created: number
  readonly volatile: boolean
  /** Who may read: user names, `:group`, `:ANONYMOUS:`, `:AUTHENTICATED:`. Absent means everyone. */
  readonly acl_read?: readonly string[]
  /** Release policies, as text: what of the index and of its bases is shown. A duration such as `7d`. */
  readonly min_release_age?: string
  /** RFC 3339 in UTC. */
  readonly freeze_at?: string
  readonly constraints?: readonly string[]
  readonly policy_exemptions?: readonly string[]
  readonly title?: JsonValue
  readonly description?: JsonValue
  readonly custom_data?: JsonValue
}

/** `{user}/{index}/.config` of an index that takes uploads. `bases` are `user/index`. */
export interface StageIndexValue extends IndexCommon {
  readonly type: 'stage'
  readonly acl_upload: readonly string[]
  readonly acl_toxresult_upload?: readonly string[]
  readonly bases: readonly string[]
  readonly mirror_whitelist: readonly string[]
  readonly mirror_whitelist_inheritance: 'intersection' | 'union'
}

/** `{user}/{index}/.config` of an index backed by upstreams. Their URLs carry no credentials. */
export interface MirrorIndexValue extends IndexCommon {
  readonly type: 'mirror'
  readonly mirror_url?: string
  /** Asked in this order while those before fail; never empty. */
  readonly mirror_fallback_urls?: readonly string[]
  readonly mirror_web_url_fmt?: string
  readonly mirror_cache_expiry?: number
  readonly mirror_no_project_list?: boolean
  readonly mirror_use_external_urls?: boolean
  readonly mirror_ignore_serial_header?: boolean
}

export type IndexValue = StageIndexValue | MirrorIndexValue

/** `{user}/{index}/+renamed`: the index that had this name is called `to` since; gone as soon as another one gets the name. */
export interface RenamedValue {
  readonly to: string
}

/** `{user}/{index}/{project}/.config`: the project exists; `name` is its first spelling. */
export interface ProjectValue {
  readonly name: string
  readonly created: number
  /** On a mirror: the upstream that told of its files, but for those that name another one. */
  readonly upstream?: string
}

/** `{user}/{index}/{project}/{version}/.config`: the version exists, with files or without. */
export interface VersionValue {
  readonly created: number
  /** PEP 592, of the whole version; a reason may be empty. Absent: not yanked. */
  readonly yanked?: string
}

/**
 * `{user}/{index}/{project}/{version}/.metadata`: metadata under the names of
 * spec section 8.3 (upload forms); a scalar that was not given is `""`, a list `[]`.
 * A key of its own, so that who asks for versions need not read descriptions.
 */
export interface MetadataValue {
  readonly [field: string]: string | readonly string[]
}

/**
 * `{user}/{index}/{project}/+spelling/{identity}`: how the version is spelled
 * here that PEP 440 holds equal to all others of this identity, so that `1.0`
 * and `1.0.0` are one release.
 */
export interface SpellingValue {
  readonly version: string
}

export type LinkRel = 'releasefile' | 'doczip' | 'toxresult'

/** One line of a link's history. `when` is ms since the epoch. */
export interface LinkLogEntry {
  readonly what: 'upload' | 'push' | 'overwrite'
  readonly who: string | null
  readonly when: number
  readonly dst?: string
  readonly src?: string
  /** With `overwrite`: how often this file name was replaced on this index. */
  readonly count?: number
}

/** What a tox report says in short. It is read once, when the report arrives: what is folded later stands here. */
export interface ToxReport {
  readonly host: string
  readonly platform: string
  readonly environments: readonly ToxEnvironment[]
}

/** One environment of a report. `unknown`: nothing failed, and no test was run. */
export interface ToxEnvironment {
  readonly name: string
  readonly state: 'passed' | 'failed' | 'unknown'
  /** How many commands were run, those of the set-up included, and how many of them failed. */
  readonly commands: number
  readonly failed: number
  /** Version of Python. */
  readonly python?: string
}

/**
 * `{user}/{index}/{project}/{version}/+link/{basename}`: one file of a
 * version. `sha256` is lower-case hex and names the blob; `dir` is the two
 * folders of its public path, `abc/0123456789abc`.
 */
export interface LinkValue {
  readonly rel: LinkRel
  readonly sha256: string
  readonly size: number
  readonly dir: string
  /** When the file entered this index, ms since the epoch (PEP 700 `upload-time`). */
  readonly time: number
  /** Orders the links of a version: grows with every link added to it. */
  readonly order: number
  readonly log: readonly LinkLogEntry[]
  /** Of a tox result: basename of the release file it reports on. */
  readonly forFile?: string
  /** Of a tox result: what it says in short; absent if it does not say it in tox's own form. */
  readonly report?: ToxReport
  readonly requiresPython?: string
  /** PEP 592, of this file alone; a reason may be empty. Absent: not yanked by itself. */
  readonly yanked?: string
  /** PEP 658: sha256 and size of the `METADATA` in a wheel, which is served at `{file}.metadata`. */
  readonly coreMetadata?: { readonly sha256: string; readonly size: number }
}

/** `{user}/{index}/+f/{a}/{b}/{basename}`: a public file path that was handed out. Times are ms since the epoch. */
export interface FileValue {
  readonly sha256: string
  readonly size: number
  readonly lastModified: number
  readonly project: string
  /** Versions of the project that link to this path: one, unless equal bytes of equal name stand in several. */
  readonly versions: readonly string[]
}

/**
 * `{user}/{index}/{project}/+mirror/{basename}`: a file that the upstream of a
 * mirror has. Whether its bytes lie here is not said: that is a cache.
 */
export interface MirrorFileValue {
  /** The upstream that told of it, as the settings of the mirror name it; absent: the one that its project names. */
  readonly upstream?: string
  /** Where that has it; absolute, without credentials and fragment. */
  readonly url: string
  readonly version: string
  /** The two folders of its public path: of its sha256, or of that of its URL where the upstream states none. */
  readonly dir: string
  /** When it was first seen here, ms since the epoch. */
  readonly seen: number
  /** As announced, or as found on the first download. */
  readonly sha256?: string
  /** As announced, where no sha256 is. */
  readonly md5?: string
  readonly size?: number
  /** When the upstream got it, ms since the epoch. */
  readonly time?: number
  readonly requiresPython?: string
  /** PEP 592; a reason may be empty. */
  readonly yanked?: string
  /** PEP 658: sha256 of what is at `{url}.metadata`. */
  readonly coreMetadata?: string
  /** Of a wheel: that no metadata can be read out of it. */
  readonly noMetadata?: boolean
  /** PEP 740. */
  readonly provenance?: string
  /** Since when the upstream has it no more, ms since the epoch. */
  readonly gone?: number
  /** The upstream that stated the sha256, where the one that told of the file last states none. */
  readonly digestBy?: string
  /** By upstream: the other sha256 that it states under this name. */
  readonly otherDigests?: { readonly [upstream: string]: string }
}

/** `{user}/{index}/+m/{a}/{b}/{basename}`: of which project the mirrored file at this public path is. */
export interface MirrorPathValue {
  readonly project: string
}

/** Which serial a value was written at, beside the value. */
export interface Stored<V> {
  readonly value: V
  readonly serial: Serial
}
