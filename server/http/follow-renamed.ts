import type { ErrorRequestHandler, Request } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { isKeySegment } from '#log-format/names.js'
import { type IndexRef, renamedTo, requireIndex } from '#server/commands/lookups.js'
import { authorizeRead } from '#server/commands/read-rights.js'
import type { Reader } from '#server/storage/reader.js'
import { callerOf } from './authenticate.js'
import type { Deps } from './deps.js'
import { readerOfAddress } from './past-serial.js'
import { redirectTo } from './redirect.js'
import { drainOrClose } from './request-body.js'

/**
 * Leads GET and HEAD of whatever is below an index that was renamed to the
 * same path under its new name, if the caller may read it there. Looked at
 * only once an answer was refused: an index that is there pays nothing.
 */
export function followRenamed(deps: Deps): ErrorRequestHandler {
  return async (error: unknown, req, res, next) => {
    if (!(error instanceof Refusal) || (req.method !== 'GET' && req.method !== 'HEAD') || res.headersSent) {
      next(error)
      return
    }
    const place = placeOf(req)
    const current = deps.storage.reader()
    const reader = place === undefined ? current : readerOfAddress(deps, current, place.rest)
    const target = place && (await targetOf(reader, place))
    if (place === undefined || target === undefined) {
      next(error)
      return
    }
    drainOrClose(req, res)
    await authorizeRead(reader, current, { ...target, value: await requireIndex(reader, target) }, await callerOf(deps, req))
    redirectTo(deps, req, res, ['', place.rawUser, encodeURIComponent(target.index), ...place.rest].join('/'))
  }
}

interface Place extends IndexRef {
  /** As the address spells it. */
  readonly rawUser: string
  /** Segments behind the index, as the address spells them. */
  readonly rest: readonly string[]
}

/** The index that an address is about; undefined for one that is about none. */
function placeOf(req: Request): Place | undefined {
  const [first, rawUser = '', rawIndex = '', ...rest] = req.path.split('/')
  const [user, index] = [decoded(rawUser), decoded(rawIndex)]
  const isPlace = first === '' && [user, index].every((name) => name !== undefined && isKeySegment(name) && !name.includes('+'))
  return isPlace && user !== undefined && index !== undefined ? { user, index, rawUser, rest } : undefined
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined // no name of anything
  }
}

/** Where the index went by the serial of the reader; undefined where it has its name still, or is gone. */
async function targetOf(reader: Reader, place: Place): Promise<IndexRef | undefined> {
  const target = await renamedTo(reader, place)
  return target !== undefined && (await reader.get(keys.index(target))) !== undefined ? target : undefined
}
