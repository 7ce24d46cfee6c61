import { packValue, unpackValue } from '#log-format/codec.js'
import { keys } from '#log-format/keys.js'
import { NO_SERIAL, type Serial } from '#log-format/serial.js'
import type { TouchedKey } from '#server/storage/fold.js'
import type { Projection } from '#server/storage/projection.js'
import type { Storage } from '#server/storage/storage.js'

const NAME = 'last-changed'

/**
 * What an answer may depend on, as a row name: the settings of an index, the
 * set of its projects, or the page of one project.
 */
export const scopes = {
  settings: (user: string, index: string): string => `settings\0${user}\0${index}`,
  projects: (user: string, index: string): string => `projects\0${user}\0${index}`,
  page: (user: string, index: string, project: string): string => `page\0${user}\0${index}\0${project}`,
}

let latest: { readonly family: string; readonly start: readonly string[]; readonly scopes: readonly string[] } | undefined

/** The scopes whose answers change when a key does. Found once for all files of a page that change together. */
export function scopesOf({ family, segments }: Pick<TouchedKey, 'family' | 'segments'>): readonly string[] {
  const [user = '', index = '', project = ''] = segments
  if (latest?.family === family && latest.start[0] === user && latest.start[1] === index && latest.start[2] === project) return latest.scopes
  latest = { family, start: [user, index, project], scopes: scopesAt(family, user, index, project) }
  return latest.scopes
}

function scopesAt(family: string, user: string, index: string, project: string): readonly string[] {
  switch (family) {
    case keys.index.family:
      return [scopes.settings(user, index)]
    case keys.project.family:
      return [scopes.projects(user, index), scopes.page(user, index, project)]
    case keys.version.family:
    case keys.link.family:
    case keys.mirrorFile.family:
      return [scopes.page(user, index, project)]
    default:
      return []
  }
}

/** Scope → serial of the last entry that changed it: what stands behind every ETag. Rows are never deleted. */
export const lastChanged: Projection = {
  name: NAME,
  shape: 1,
  fold(change, rows) {
    for (const scope of scopesOf(change)) rows.put(scope, packedSerial(change.serial))
  },
}

let packed = { serial: NO_SERIAL, bytes: packValue(NO_SERIAL) }

/** Packed once for all changes of an entry. */
function packedSerial(serial: Serial): Uint8Array {
  if (packed.serial !== serial) packed = { serial, bytes: packValue(serial) }
  return packed.bytes
}

/** When a scope changed last, as far as the head; -1 for one that never did. */
export function lastChangeOf(storage: Storage, scope: string): Serial {
  const row = storage.projectionRow(NAME, scope)
  return row === undefined ? NO_SERIAL : (unpackValue(row) as Serial)
}
