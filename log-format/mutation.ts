import { FormatError } from './errors.js'
import type { JsonValue } from './values.js'

/** Settings of an index by name, as asked for or as they were. */
export type Settings = { readonly [name: string]: JsonValue }

interface OnUser {
  readonly user: string
}
interface OnIndex extends OnUser {
  readonly index: string
}
interface OnToken extends OnUser {
  /** The public half of what names the token; never its secret. */
  readonly id: string
  readonly name: string
}
interface OnProject extends OnIndex {
  readonly project: string
}
interface OnVersion extends OnProject {
  readonly version: string
}
interface OnFile extends OnVersion {
  readonly file: string
}
interface OnGroup {
  readonly group: string
}
interface Content {
  readonly sha256: string
  readonly size: number
}

/**
 * What was asked for, by kind. A closed union for writers; it is what the
 * timeline, the audit view and web hooks show, in words, years later.
 */
export type Mutation =
  | { readonly kind: 'server-initialised' }
  | ({ readonly kind: 'user-created' } & OnUser)
  | ({ readonly kind: 'user-modified'; readonly fields: readonly string[]; readonly revoked?: readonly string[] } & OnUser)
  | ({ readonly kind: 'user-deleted' } & OnUser)
  | ({ readonly kind: 'token-created'; readonly actions: readonly string[]; readonly indexes: readonly string[]; readonly expires?: number } & OnToken)
  | ({ readonly kind: 'token-revoked' } & OnToken)
  | ({ readonly kind: 'group-created'; readonly members: readonly string[] } & OnGroup)
  | ({ readonly kind: 'group-modified'; readonly added: readonly string[]; readonly removed: readonly string[] } & OnGroup)
  /** `members` are those it had. */
  | ({ readonly kind: 'group-deleted'; readonly members: readonly string[] } & OnGroup)
  | ({ readonly kind: 'index-created'; readonly settings: Settings } & OnIndex)
  | ({ readonly kind: 'index-modified'; readonly before: Settings; readonly after: Settings } & OnIndex)
  | ({ readonly kind: 'index-deleted' } & OnIndex)
  /** `source` is `user/index` as it was at `serial`. */
  | ({ readonly kind: 'index-cloned'; readonly source: string; readonly serial: number } & OnIndex)
  /** `index` is the old name, `to` the new one; `followed` are the indexes that name it as a base. */
  | ({ readonly kind: 'index-renamed'; readonly to: string; readonly followed: readonly string[] } & OnIndex)
  | ({ readonly kind: 'version-registered' } & OnVersion)
  | ({ readonly kind: 'file-uploaded'; readonly replaced?: string } & OnFile & Content)
  | ({ readonly kind: 'docs-uploaded'; readonly replaced?: string } & OnFile & Content)
  | ({ readonly kind: 'toxresult-attached'; readonly toxresult: string } & OnFile & Content)
  | ({ readonly kind: 'release-pushed'; readonly source: string; readonly files: readonly string[] } & OnVersion)
  | ({ readonly kind: 'file-removed'; readonly forced?: boolean } & OnFile)
  | ({ readonly kind: 'version-removed'; readonly forced?: boolean } & OnVersion)
  | ({ readonly kind: 'project-removed'; readonly forced?: boolean } & OnProject)
  /** `serial` is that of the removal; the names say what it had removed, as far as it had any. */
  | ({ readonly kind: 'removal-undone'; readonly serial: number } & OnUser & Partial<OnFile>)
  /** PEP 592. `reason` absent: the yank was taken back. `file` absent: the whole version. */
  | ({ readonly kind: 'file-yanked'; readonly file?: string; readonly reason?: string } & OnVersion)
  /**
   * Names of files. `changed`: what is said of them is another, such as a yank, or a digest found by downloading. `disagreed`:
   * those of them of which an upstream states another sha256 than the one that stands.
   */
  | ({ readonly kind: 'mirror-project-changed'; readonly added: readonly string[]; readonly removed: readonly string[]; readonly changed?: readonly string[]; readonly disagreed?: readonly string[] } & OnProject)
  /** First entry of an epoch: `node` makes the entries from now on; `former` did so before, and is empty where that is not known. Both are uuids. */
  | { readonly kind: 'primary-promoted'; readonly node: string; readonly former: string }

export type MutationKind = Mutation['kind']

/** A mutation written by a newer release: carried and shown by its kind, understood by nobody here. */
export interface ForeignMutation {
  readonly kind: string
  readonly [field: string]: JsonValue
}

type FieldType = 'string' | 'number' | 'boolean' | 'strings' | 'object'
interface FieldRules {
  readonly [field: string]: FieldType | `${FieldType}?`
}

const ON_USER: FieldRules = { user: 'string' }
const ON_TOKEN: FieldRules = { ...ON_USER, id: 'string', name: 'string' }
const ON_GROUP: FieldRules = { group: 'string' }
const ON_INDEX: FieldRules = { ...ON_USER, index: 'string' }
const ON_PROJECT: FieldRules = { ...ON_INDEX, project: 'string' }
const ON_VERSION: FieldRules = { ...ON_PROJECT, version: 'string' }
const ON_FILE: FieldRules = { ...ON_VERSION, file: 'string' }
const CONTENT: FieldRules = { sha256: 'string', size: 'number' }

const RULES: Record<MutationKind, FieldRules> = {
  'server-initialised': {},
  'user-created': ON_USER,
  'user-modified': { ...ON_USER, fields: 'strings', revoked: 'strings?' },
  'user-deleted': ON_USER,
  'token-created': { ...ON_TOKEN, actions: 'strings', indexes: 'strings', expires: 'number?' },
  'token-revoked': ON_TOKEN,
  'group-created': { ...ON_GROUP, members: 'strings' },
  'group-modified': { ...ON_GROUP, added: 'strings', removed: 'strings' },
  'group-deleted': { ...ON_GROUP, members: 'strings' },
  'index-created': { ...ON_INDEX, settings: 'object' },
  'index-modified': { ...ON_INDEX, before: 'object', after: 'object' },
  'index-deleted': ON_INDEX,
  'index-cloned': { ...ON_INDEX, source: 'string', serial: 'number' },
  'index-renamed': { ...ON_INDEX, to: 'string', followed: 'strings' },
  'version-registered': ON_VERSION,
  'file-uploaded': { ...ON_FILE, ...CONTENT, replaced: 'string?' },
  'docs-uploaded': { ...ON_FILE, ...CONTENT, replaced: 'string?' },
  'toxresult-attached': { ...ON_FILE, ...CONTENT, toxresult: 'string' },
  'release-pushed': { ...ON_VERSION, source: 'string', files: 'strings' },
  'file-removed': { ...ON_FILE, forced: 'boolean?' },
  'version-removed': { ...ON_VERSION, forced: 'boolean?' },
  'project-removed': { ...ON_PROJECT, forced: 'boolean?' },
  'removal-undone': { ...ON_USER, serial: 'number', index: 'string?', project: 'string?', version: 'string?', file: 'string?' },
  'file-yanked': { ...ON_VERSION, file: 'string?', reason: 'string?' },
  'mirror-project-changed': { ...ON_PROJECT, added: 'strings', removed: 'strings', changed: 'strings?', disagreed: 'strings?' },
  'primary-promoted': { node: 'string', former: 'string' },
}

interface FieldCheck {
  readonly field: string
  readonly type: FieldType
  readonly optional: boolean
}

/** The rules, taken apart once: every entry that is read is held against them. */
const CHECKS: ReadonlyMap<string, readonly FieldCheck[]> = new Map(Object.entries(RULES).map(([kind, rules]) => [kind, Object.entries(rules).map(checkOf)]))

function checkOf([field, rule]: [string, FieldRules[string]]): FieldCheck {
  const optional = rule.endsWith('?')
  return { field, type: (optional ? rule.slice(0, -1) : rule) as FieldType, optional }
}

/** Checks the fields of a kind known here; a foreign kind passes as it is. Throws a {@link FormatError}. */
export function checkMutation(value: JsonValue): Mutation | ForeignMutation {
  if (!isObject(value)) throw new FormatError('a mutation is not a map', 'mutation')
  const kind = value['kind']
  if (typeof kind !== 'string') throw new FormatError('a mutation has no kind', 'mutation.kind')
  for (const { field, type, optional } of CHECKS.get(kind) ?? []) {
    const found = value[field]
    if (found === undefined ? !optional : !hasType(found, type)) {
      throw new FormatError(`${kind} wants ${field} to be ${type}`, `mutation.${field}`)
    }
  }
  return { ...value, kind }
}

/** The fields that mutations of a kind have; none of any kind holds a secret. */
export function fieldsOfKind(kind: MutationKind): readonly string[] {
  return Object.keys(RULES[kind])
}

/** What a mutation says it is about, as text; a kind of a newer release may say it, too. */
export interface MutationNames {
  readonly user?: string | undefined
  readonly index?: string | undefined
  readonly project?: string | undefined
}

export function namesInMutation(mutation: Mutation | ForeignMutation): MutationNames {
  return {
    user: 'user' in mutation ? textIn(mutation.user) : undefined,
    index: 'index' in mutation ? textIn(mutation.index) : undefined,
    project: 'project' in mutation ? textIn(mutation.project) : undefined,
  }
}

function textIn(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

export function isMutationKind(kind: string): kind is MutationKind {
  return Object.hasOwn(RULES, kind)
}

function isObject(value: JsonValue): value is { readonly [name: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function hasType(value: JsonValue, type: FieldType): boolean {
  switch (type) {
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string')
    case 'object':
      return isObject(value)
    default:
      return typeof value === type
  }
}
