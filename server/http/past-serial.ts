import type { Request } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { parseSerial, type Serial } from '#log-format/serial.js'
import type { Reader } from '#server/storage/reader.js'
import type { Deps } from './deps.js'
import { noSuchRoute } from './params.js'

/** The serial of an as-of address, `+at/{serial}`. Refuses `not-found` for one that is still to come. */
export function pastSerial(deps: Deps, req: Request): Serial {
  const { serial: text } = req.params
  const serial = typeof text === 'string' ? parseSerial(text) : undefined
  if (serial === undefined) throw noSuchRoute()
  return requireWritten(deps, serial)
}

/** Refuses `not-found` for a serial that is still to come. */
export function requireWritten(deps: Deps, serial: Serial): Serial {
  const { serial: head } = deps.storage.head
  if (serial > head) throw new Refusal('not-found', `serial ${serial} is not written yet, the newest is ${head}`)
  return serial
}

/**
 * By which reader the index of an address is found, by the segments behind it:
 * of the as-of view that of its serial, when the name may have been another
 * index's.
 */
export function readerOfAddress(deps: Deps, current: Reader, [at, text = '']: readonly string[]): Reader {
  const serial = at === '+at' ? parseSerial(text) : undefined
  return serial !== undefined && serial < current.serial ? deps.storage.reader(serial) : current
}
