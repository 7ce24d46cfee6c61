import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { checkVersionText } from '#log-format/names.js'
import { nextSerial } from '#log-format/serial.js'
import type { LinkLogEntry, LinkValue, MetadataValue, StageIndexValue, VersionValue } from '#log-format/values.js'
import { emptyMetadata } from '#server/packaging/core-metadata.js'
import { isPep440, versionIdentity } from '#log-format/version.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { type LinkRef, removeLink } from './index-contents.js'
import { findVersion, splitDir, type VersionRef } from './lookups.js'

/*
 * What registering, uploading and pushing have in common: a version that is
 * there, with its metadata, and links on it. Permission was checked before.
 */

/** Where new things of a release go: the version as the index spells it, and whether it is there already. */
export interface ReleaseTarget extends VersionRef {
  readonly existing: VersionValue | undefined
}

export async function findRelease(reader: Reader, ref: VersionRef): Promise<ReleaseTarget> {
  const found = await findVersion(reader, ref)
  if (found === undefined) return { ...ref, existing: undefined }
  const { value, ...target } = found
  return { ...target, existing: value }
}

/** Creates project and version where they are missing. `name` is the project's spelling. Refuses `invalid` versions. */
export async function ensureVersion(tx: Transaction, target: ReleaseTarget, name: string): Promise<void> {
  if (target.existing !== undefined) return
  checkVersionText(target.version)
  if ((await tx.get(keys.project(target))) === undefined) {
    tx.set(keys.project(target), { name, created: tx.time })
  }
  tx.set(keys.version(target), { created: tx.time })
  if (isPep440(target.version)) {
    const identity = versionIdentity(target.version)
    tx.set(keys.spelling({ ...target, identity }), { version: target.version })
  }
}

/**
 * Lays the fields given over the metadata there is. On an index that is not
 * volatile a field that says something keeps saying it; `onConflict` tells
 * whether an attempt to change one is refused or passed over.
 */
export async function mergeVersionMetadata(
  tx: Transaction,
  target: VersionRef,
  input: { readonly fields: MetadataValue; readonly volatile: boolean; readonly onConflict: 'refuse' | 'keep' },
): Promise<MetadataValue> {
  const before = await tx.get(keys.metadata(target))
  const after: Record<string, string | readonly string[]> = { ...emptyMetadata(), ...before }
  for (const [field, value] of Object.entries(input.fields)) {
    const kept = after[field]
    const says = before !== undefined && kept !== undefined && kept.length > 0
    if (input.volatile || !says) {
      after[field] = value
    } else if (input.onConflict === 'refuse' && JSON.stringify(kept) !== JSON.stringify(value)) {
      throw new Refusal(
        'conflict',
        `${field} of ${target.project} ${target.version} is set and the index is not volatile`,
        { form: 'reason' },
      )
    }
  }
  after['version'] = target.version // the spelling of the index, whichever was sent
  tx.set(keys.metadata(target), after)
  return after
}

/** A place in the order of a version's links behind all there are: entries grow, and so do positions in one. */
export function linkOrder(tx: Transaction, position = 0): number {
  return nextSerial(tx.serial) * 100_000 + position
}

/** Where the bytes of a link lie publicly: three and thirteen digits of a digest. */
export function dirOf(sha256: string): string {
  return `${sha256.slice(0, 3)}/${sha256.slice(3, 16)}`
}

/** How a file may be added: as a new one, over another, or not at all because the same one is there. */
export type Placement = 'new' | 'identical' | 'replaces'

/** Refuses `conflict` for other content under a name that a non-volatile index has. */
export function checkPlacement(
  index: StageIndexValue,
  before: LinkValue | undefined,
  file: { readonly basename: string; readonly sha256: string },
): Placement {
  if (before === undefined) return 'new'
  if (before.sha256 === file.sha256) return 'identical'
  if (!index.volatile) {
    throw new Refusal('conflict', `${file.basename} already exists in non-volatile index`)
  }
  return 'replaces'
}

/** Sets a link and its public path, in place of the link that was there. Tox results of a replaced file go with it. Refuses `conflict` when the path is that of another project's file. */
export async function placeLink(
  tx: Transaction,
  ref: LinkRef,
  link: LinkValue,
  before: LinkValue | undefined,
  lastModified = link.time,
): Promise<void> {
  if (before !== undefined) await removeFileLink(tx, ref, before)
  const log = before === undefined ? link.log : [overwritten(before, tx.time), ...link.log]
  tx.set(keys.link(ref), { ...link, log })
  const path = keys.file({ ...ref, ...splitDir(link.dir) })
  const file = await tx.get(path)
  if (file !== undefined && file.project !== ref.project) {
    throw new Refusal('conflict', `${ref.basename} with these very bytes belongs to project ${file.project} already`)
  }
  tx.set(path, {
    sha256: link.sha256,
    size: link.size,
    lastModified: file?.lastModified ?? lastModified,
    project: ref.project,
    versions: [...new Set([...(file?.versions ?? []), ref.version])],
  })
}

/** Deletes the link of a file together with the tox results on it. */
export async function removeFileLink(tx: Transaction, ref: LinkRef, link: LinkValue): Promise<void> {
  if (link.rel === 'releasefile') {
    for (const result of await toxResultsOf(tx, ref)) await removeLink(tx, result.ref, result.link)
  }
  await removeLink(tx, ref, link)
}

export interface ToxResult {
  readonly ref: LinkRef
  readonly link: LinkValue
}

/** Tox results on a release file, oldest first. */
export async function toxResultsOf(reader: Reader, ref: LinkRef): Promise<readonly ToxResult[]> {
  return (await toxResultsByFile(reader, ref)).get(ref.basename) ?? []
}

/** The tox results of a version by the file that they are about, oldest first. */
export async function toxResultsByFile(reader: Reader, { user, index, project, version }: VersionRef): Promise<ReadonlyMap<string, readonly ToxResult[]>> {
  const found = new Map<string, ToxResult[]>()
  for await (const { segments, value } of reader.scan(keys.link.under(user, index, project, version))) {
    if (value.rel !== 'toxresult' || value.forFile === undefined) continue
    const results = found.get(value.forFile) ?? []
    results.push({ ref: keys.link.params(segments), link: value })
    found.set(value.forFile, results)
  }
  for (const results of found.values()) results.sort((a, b) => a.link.order - b.link.order)
  return found
}

/** First in a link's log: how often a file of this name was replaced here, and when last. */
function overwritten(before: LinkValue, time: number): LinkLogEntry {
  const counted = before.log.find(({ what }) => what === 'overwrite')
  return { what: 'overwrite', who: null, when: time, count: (counted?.count ?? 0) + 1 }
}
