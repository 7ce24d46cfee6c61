import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { Serial } from '#log-format/serial.js'
import type { IndexValue, LinkLogEntry, LinkValue, StageIndexValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import { hasPolicy } from '#server/packaging/release-policy.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { type RawSettings, settingsOf } from './index-settings.js'
import { checkNewIndex, newIndex, placeIndex } from './indexes.js'
import { indexName, type IndexRef, requireIndex } from './lookups.js'
import { authorizeRead } from './read-rights.js'
import { authorize } from './rights.js'

export interface CloneIndex extends IndexRef {
  readonly caller: Caller
  readonly source: IndexRef
  /** Shows the source at a past serial; undefined for the source as it is in the turn. */
  readonly past: Reader | undefined
  /** Laid over the settings of the source. */
  readonly settings: RawSettings
}

/**
 * Creates an index with the settings and all contents of another one, of now
 * or of a past serial. No file is copied: the links share the blobs, and those
 * of a past source must be held. Refuses what creating an index refuses,
 * `unauthenticated` or `forbidden` to whom the source may not be shown now,
 * or who may not change its settings while it has a release policy,
 * and `invalid` a mirror as source.
 */
export async function cloneIndex(tx: Transaction, input: CloneIndex): Promise<IndexValue> {
  const { user, index, source } = input
  const from = input.past ?? tx
  const before = await planClone(tx, input)
  const value = await newIndex(tx, input, { ...inheritedSettings(before, input), ...input.settings }, before.bases)
  placeIndex(tx, input, value)
  await copyContents(tx, from, input)
  const serial: Serial = from.serial
  tx.record({ kind: 'index-cloned', user, index, source: indexName(source), serial })
  return value
}

/** Refuses what {@link cloneIndex} would refuse of caller and source as things stand. */
export async function checkClone(reader: Reader, input: CloneIndex): Promise<void> {
  await planClone(reader, input)
}

async function planClone(reader: Reader, input: CloneIndex): Promise<StageIndexValue> {
  const { caller, source, settings } = input
  await checkNewIndex(reader, input)
  const from = input.past ?? reader
  const value = await requireIndex(from, source)
  const present = await authorizeRead(from, reader, { ...source, value }, caller)
  // A clone has all that is there, and its owner may take the policy away.
  if (hasPolicy(present)) await authorize(reader, caller, 'index-modify', { user: source.user, index: present, indexName: source.index })
  if (value.type !== 'stage') {
    throw new Refusal('invalid', `${indexName(source)} is a mirror and holds nothing of its own to clone; create another mirror instead`)
  }
  if (settings['type'] !== undefined && settings['type'] !== 'stage') throw new Refusal('invalid', 'a clone is of type stage, as its source is')
  return value
}

/** A list of uploaders that nobody chose is not inherited: it names the owner of the source. */
function inheritedSettings(value: StageIndexValue, { source }: CloneIndex): RawSettings {
  const { acl_upload: uploaders, ...others } = settingsOf(value)
  const isDefault = value.acl_upload.length === 1 && value.acl_upload[0] === source.user
  return isDefault || uploaders === undefined ? others : { ...others, acl_upload: uploaders }
}

async function copyContents(tx: Transaction, from: Reader, { caller, source, user, index }: CloneIndex): Promise<void> {
  const created = tx.time
  const to = { user, index }
  for await (const { segments, value } of from.scan(keys.project.under(source.user, source.index))) {
    tx.set(keys.project({ ...keys.project.params(segments), ...to }), { ...value, created })
  }
  for await (const { segments, value } of from.scan(keys.version.under(source.user, source.index))) {
    tx.set(keys.version({ ...keys.version.params(segments), ...to }), { ...value, created })
  }
  for await (const { segments, value } of from.scan(keys.metadata.under(source.user, source.index))) {
    tx.set(keys.metadata({ ...keys.metadata.params(segments), ...to }), value)
  }
  for await (const { segments, value } of from.scan(keys.spelling.under(source.user, source.index))) {
    tx.set(keys.spelling({ ...keys.spelling.params(segments), ...to }), value)
  }
  const line: LinkLogEntry = { what: 'push', who: caller.user ?? null, when: created, src: indexName(source), dst: indexName(to) }
  for await (const { segments, value } of from.scan(keys.link.under(source.user, source.index))) {
    tx.set(keys.link({ ...keys.link.params(segments), ...to }), clonedLink(value, line))
  }
  for await (const { segments, value } of from.scan(keys.file.under(source.user, source.index))) {
    tx.set(keys.file({ ...keys.file.params(segments), ...to }), value)
  }
}

/** The link as it enters the new index, where nothing was ever overwritten. */
function clonedLink(link: LinkValue, line: LinkLogEntry): LinkValue {
  return { ...link, time: line.when, log: [...link.log.filter(({ what }) => what !== 'overwrite'), line] }
}
