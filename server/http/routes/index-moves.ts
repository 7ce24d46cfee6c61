import type { Response } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { Origin } from '#log-format/entry.js'
import { keys } from '#log-format/keys.js'
import { isKeySegment } from '#log-format/names.js'
import { parseSerial, type Serial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import { checkClone, cloneIndex } from '#server/commands/clones.js'
import type { RawSettings } from '#server/commands/index-settings.js'
import { indexName, type IndexRef } from '#server/commands/lookups.js'
import { renameIndex } from '#server/commands/renames.js'
import type { Reader } from '#server/storage/reader.js'
import { readLinkFields } from '#server/stages/link-fields.js'
import type { Deps } from '../deps.js'
import { HeldBlobs } from '../held-blobs.js'
import type { JsonObject } from '../json-body.js'
import { requireWritten } from '../past-serial.js'
import { sendResult } from '../respond.js'
import { indexJson } from '../user-json.js'

interface OnIndex {
  readonly ref: IndexRef
  readonly caller: Caller
  readonly origin: Origin
}

/** `PUT` with `clone` among the settings: `user/index`, or `user/index@serial` for the index as it was then. */
export async function putClone(
  deps: Deps,
  response: Response,
  { ref, caller, origin, settings }: OnIndex & { readonly settings: RawSettings },
): Promise<void> {
  const { clone, ...overriding } = settings
  const { source, serial: wanted } = sourceOf(clone)
  const past = wanted === undefined ? undefined : deps.storage.reader(requireWritten(deps, wanted))
  const input = { ...ref, caller, source, past, settings: overriding }
  await checkClone(deps.storage.reader(), input)

  // What the source has now is named as long as the turn lasts; what it had need not be.
  using held = await HeldBlobs.of(deps.blobs, past === undefined ? [] : await blobsOf(past, source))
  if (held === undefined) {
    throw new Refusal('gone', `${indexName(source)} had files at serial ${String(wanted)} that were removed since and are no longer kept`)
  }
  const { serial, result } = await deps.storage.transact(origin, (tx) => cloneIndex(tx, input))
  sendResult(response, { type: 'indexconfig', result: indexJson(result), serial, message: `cloned from ${indexName(source)}${wanted === undefined ? '' : `@${wanted}`}` })
}

/** `PATCH` with `{"rename": "name"}` and nothing else. */
export async function patchName(
  deps: Deps,
  response: Response,
  { ref, caller, origin, body }: OnIndex & { readonly body: JsonObject },
): Promise<void> {
  const { rename: to, ...others } = body
  if (typeof to !== 'string') throw new Refusal('invalid', 'rename must be a text, the new name of the index')
  if (Object.keys(others).length > 0) {
    throw new Refusal('invalid', 'rename an index first, and change its settings under its new name with a request of their own')
  }
  const { serial, result } = await deps.storage.transact(origin, (tx) => renameIndex(tx, { ...ref, caller, to }))
  const { value, followed } = result
  const message = `index ${indexName(ref)} is now ${ref.user}/${to}; indexes that have it as a base: ${followed.length}`
  sendResult(response, { type: 'indexconfig', result: indexJson(value), serial, message })
}

/** An index name may hold an `@`: what stands behind the last one is a serial if it is a number. */
function sourceOf(value: JsonValue | undefined): { readonly source: IndexRef; readonly serial: Serial | undefined } {
  const text = typeof value === 'string' ? value : ''
  const at = text.lastIndexOf('@')
  const serial = at === -1 ? undefined : parseSerial(text.slice(at + 1))
  const [user = '', index = '', ...rest] = (serial === undefined ? text : text.slice(0, at)).split('/')
  const isWellFormed = rest.length === 0 && [user, index].every((name) => isKeySegment(name) && !name.includes('+'))
  if (!isWellFormed) throw new Refusal('invalid', 'clone not in format user/index or user/index@serial')
  return { source: { user, index }, serial }
}

async function blobsOf(reader: Reader, { user, index }: IndexRef): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for await (const batch of reader.scanBatches(keys.link.under(user, index), readLinkFields)) {
    for (const { value } of batch) found.add(value.sha256)
  }
  return found
}
