import { type Request, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { readEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { keys } from '#log-format/keys.js'
import { nextSerial, type Serial, toSerial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'
import { blobsOf, checkUndo, readRemoval, type Removal, undoRemoval, whatWasRemoved } from '#server/commands/undo.js'
import type { Storage } from '#server/storage/storage.js'
import { callerAndOrigin } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { HeldBlobs } from '../held-blobs.js'
import { readJsonObject } from '../json-body.js'
import { mount } from '../methods.js'
import { requireWritten } from '../past-serial.js'
import { sendMessage } from '../respond.js'
import { timeAgo } from '../time-ago.js'

/** `+undo`, one address for removals of all kinds: what was removed has none of its own any more. */
export function undoRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+undo', { post: (req, res) => undo(deps, req, res) })
  return router
}

/** `{"serial": N}`, the serial of the removal. */
async function undo(deps: Deps, req: Request, res: Response): Promise<void> {
  const { caller, origin } = await callerAndOrigin(deps, req)
  const { serial: wanted, ...others } = await readJsonObject(req, deps.limits)
  const unknown = Object.keys(others).sort()
  if (unknown.length > 0) throw new Refusal('invalid', `unknown additional options: ${unknown.join(', ').slice(0, 200)}`)
  const removedAt = requireWritten(deps, serialOf(wanted))

  const before = deps.storage.reader(toSerial(removedAt - 1))
  const current = deps.storage.reader()
  const removal = await readRemoval(await entryAt(deps.storage, removedAt), { before, current, caller })
  await checkUndo(current, { caller, removal })
  using held = await HeldBlobs.of(deps.blobs, blobsOf(removal))
  if (held === undefined) {
    throw new Refusal('gone', `the removal at serial ${removedAt} cannot be undone: its files were removed ${timeAgo(deps.now() - removal.time)} and are no longer kept`)
  }
  const { serial } = await deps.storage.transact(origin, (tx) => undoRemoval(tx, { caller, removal }))
  sendMessage(res, serial, undoneText(removal))
}

function serialOf(value: JsonValue | undefined): Serial {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return toSerial(value)
  throw new Refusal('invalid', 'an undo needs the serial of a removal, as a whole number')
}

async function entryAt(storage: Storage, serial: Serial): Promise<Entry> {
  for await (const [entry] of storage.entries.read(serial, nextSerial(serial))) {
    if (entry !== undefined) return readEntry(entry.bytes)
  }
  throw new Error(`the log has no entry ${serial}`)
}

/** What is back, and which secrets are not. */
function undoneText({ serial, mutation, keys: restored }: Removal): string {
  const { user, index, project, version, file } = whatWasRemoved(mutation)
  const path = [user, index, project, version, file].filter((name) => name !== undefined).join('/')
  const text = `the removal of '${path}' at serial ${serial} is undone`
  if (mutation.kind === 'user-deleted') {
    return `${text}; the password and the tokens of '${user}' are gone for good: root has to set a new password`
  }
  const isMirror = restored.some(({ key, before, left }) => keys.index.match({ ...key, before: left, after: before })?.after?.type === 'mirror')
  return isMirror ? `${text}; credentials for its upstream are gone for good: set its mirror_url with them again` : text
}
