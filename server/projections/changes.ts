import { isKeySegment } from '#log-format/names.js'
import { type ForeignMutation, type Mutation, type MutationNames, namesInMutation } from '#log-format/mutation.js'
import { type Serial, toSerial } from '#log-format/serial.js'
import type { Projection } from '#server/storage/projection.js'
import type { Storage } from '#server/storage/storage.js'

const NAME = 'changes'
const SERIAL_DIGITS = 15
const NOTHING = new Uint8Array(0)

/** Mutations by what they say they are about: an index only together with its user, a project in normal form. */
export type ChangeFilter = MutationNames

/**
 * User, index, or project name on any index → serials of the entries whose
 * mutation names it, so that reading on about one of them costs what there is
 * about it. A row has no value; its name ends in the serial.
 */
export const changes: Projection = {
  name: NAME,
  shape: 1,
  foldMutation({ serial, names: { user, index, project } }, rows) {
    const at = digits(serial)
    if (isName(user)) rows.put(`user\0${user}\0${at}`, NOTHING)
    if (isName(user) && isName(index)) rows.put(`index\0${user}\0${index}\0${at}`, NOTHING)
    if (isName(project)) rows.put(`project\0${project}\0${at}`, NOTHING)
  },
}

/** Whether a mutation is about all that the filter names. */
export function isAbout(mutation: Mutation | ForeignMutation, filter: ChangeFilter): boolean {
  const names = namesInMutation(mutation)
  return (['user', 'index', 'project'] as const).every((field) => filter[field] === undefined || names[field] === filter[field])
}

/**
 * Serials from `from` on of the entries that may be about what the filter
 * names, in order: all that are, and with a filter on more than one thing
 * others. Undefined for a filter that names nothing.
 */
export function serialsAbout(storage: Storage, filter: ChangeFilter, from: Serial): AsyncIterable<Serial> | undefined {
  const { user, index, project } = filter
  if (project !== undefined) return serialsUnder(storage, `project\0${project}\0`, from)
  if (user === undefined) return undefined
  return serialsUnder(storage, index === undefined ? `user\0${user}\0` : `index\0${user}\0${index}\0`, from)
}

async function* serialsUnder(storage: Storage, prefix: string, from: Serial): AsyncGenerator<Serial> {
  for await (const [row] of storage.projectionRows(NAME, prefix, { from: prefix + digits(from) })) {
    yield toSerial(Number(row.slice(-SERIAL_DIGITS)))
  }
}

function isName(name: string | undefined): name is string {
  return name !== undefined && isKeySegment(name)
}

function digits(serial: Serial): string {
  return String(serial).padStart(SERIAL_DIGITS, '0')
}
