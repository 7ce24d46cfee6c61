import { keys } from '#log-format/keys.js'
import { versionIdentity } from '#log-format/version.js'
import { findVersion, indexName, type ProjectRef } from '#server/commands/lookups.js'
import type { Reader } from '#server/storage/reader.js'
import { indexesHaving, mirrorsAreOpen, shows } from './inherited-stage.js'
import type { OpenStage } from './open-stage.js'
import type { IndexInOrder } from './resolution-order.js'

/** The index from which a stage inherits a release, as far as is known here: no upstream is asked. */
export async function inheritedFrom(stage: OpenStage, { project, version }: { readonly project: string; readonly version: string }): Promise<IndexInOrder | undefined> {
  const { reader, order } = stage
  const having = await indexesHaving(stage, project)
  const isOpen = mirrorsAreOpen(stage, project, having)
  for (const found of order) {
    if (indexName(found) === indexName(stage) || !having.includes(found) || !shows(stage, found, isOpen)) continue
    const { user, index, value } = found
    const has = value.type === 'mirror' ? await isMirrored(reader, { user, index, project }, version) : (await findVersion(reader, { user, index, project, version })) !== undefined
    if (has) return found
  }
  return undefined
}

async function isMirrored(reader: Reader, { user, index, project }: ProjectRef, version: string): Promise<boolean> {
  const identity = versionIdentity(version)
  for await (const { value } of reader.scan(keys.mirrorFile.under(user, index, project))) {
    if (value.gone === undefined && versionIdentity(value.version) === identity) return true
  }
  return false
}
