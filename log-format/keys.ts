import { definePattern, type Key, type KeyPattern } from './key-pattern.js'
import type { FileValue, GroupValue, IndexValue, JsonValue, LinkValue, MemberValue, MetadataValue, MirrorFileValue, MirrorPathValue, ProjectValue, RenamedValue, SpellingValue, TokenValue, UserValue, VersionValue } from './values.js'

/**
 * The catalogue of keyfs keys. The paths stand in every entry and never change
 * their meaning; new families may be added. No value grows with the number of
 * its siblings: a listing is a scan over keys.
 */
export const keys = {
  group: definePattern<GroupValue>()('group', '+groups/{group}/+group'),
  member: definePattern<MemberValue>()('member', '+groups/{group}/{user}/+member'),
  user: definePattern<UserValue>()('user', '{user}/.config'),
  token: definePattern<TokenValue>()('token', '{user}/+token/{id}'),
  index: definePattern<IndexValue>()('index', '{user}/{index}/.config'),
  renamed: definePattern<RenamedValue>()('renamed', '{user}/{index}/+renamed'),
  project: definePattern<ProjectValue>()('project', '{user}/{index}/{project}/.config'),
  version: definePattern<VersionValue>()('version', '{user}/{index}/{project}/{version}/.config'),
  metadata: definePattern<MetadataValue>()('metadata', '{user}/{index}/{project}/{version}/.metadata'),
  spelling: definePattern<SpellingValue>()('spelling', '{user}/{index}/{project}/+spelling/{identity}'),
  link: definePattern<LinkValue>()('link', '{user}/{index}/{project}/{version}/+link/{basename}'),
  file: definePattern<FileValue>()('file', '{user}/{index}/+f/{dirA}/{dirB}/{basename}'),
  mirrorFile: definePattern<MirrorFileValue>()('mirror-file', '{user}/{index}/{project}/+mirror/{basename}'),
  mirrorPath: definePattern<MirrorPathValue>()('mirror-path', '{user}/{index}/+m/{dirA}/{dirB}/{basename}'),
}

/** Family of paths that no pattern here knows: written by a newer release, carried and kept, read by nobody. */
export const FOREIGN_FAMILY = 'foreign'

const PATTERNS: readonly KeyPattern<string, unknown>[] = Object.values(keys)
const MOST_PARTS = Math.max(...PATTERNS.map(({ parts }) => parts))
/** At each number of parts, the patterns whose paths have so many. */
const PATTERNS_BY_PARTS = Array.from({ length: MOST_PARTS + 1 }, (_, count) => PATTERNS.filter(({ parts }) => parts === count))

export interface LocatedPath {
  readonly family: string
  readonly segments: readonly string[]
}

/** Which family a logged path belongs to, and its parameters. */
export function locatePath(path: string): LocatedPath {
  const parts = path.split('/')
  for (const pattern of PATTERNS_BY_PARTS[parts.length] ?? []) {
    const segments = pattern.parse(parts)
    if (segments !== undefined) return { family: pattern.family, segments }
  }
  return { family: FOREIGN_FAMILY, segments: [path] }
}

/** The key at a logged path, whichever family it is of. */
export function keyAt(path: string): Key<JsonValue> {
  return { path, ...locatePath(path) }
}

export type StoredValue = GroupValue | MemberValue | UserValue | TokenValue | IndexValue | RenamedValue | ProjectValue | VersionValue | MetadataValue | SpellingValue | LinkValue | FileValue | MirrorFileValue | MirrorPathValue | JsonValue
