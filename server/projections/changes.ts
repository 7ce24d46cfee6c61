import { isKeySegment } from '#log-format/names.js'
import { type ForeignMutation, type Mutation, type MutationNames, namesInMutation } from '#log-format/mutation.js'
import { nextSerial, type Serial, toSerial } from '#log-format/serial.js'
import type { Projection } from '#server/storage/projection.js'
import type { Storage } from '#server/storage/storage.js'

const NAME = 'changes'
const SERIAL_DIGITS = 15
const NOTHING = new Uint8Array(0)
/** Rows read at a time, and, where many walks are under way at once, of each. */
const MOST_ROWS = 256
const ROWS_OF_A_WALK = 16

/** Mutations by what they say they are about: an index only together with its user, a project in normal form. */
export type ChangeFilter = MutationNames

/**
 * Index, or project name on any index → serials of the entries whose mutation
 * names it, so that reading on about one of them costs what there is about it.
 * What names a user and no index stands under the index without a name: all
 * about a user is merged from the user's indexes. A row has no value; its name
 * ends in the serial.
 */
export const changes: Projection = {
  name: NAME,
  shape: 2,
  foldMutation({ serial, names: { user, index, project } }, rows) {
    const at = digits(serial)
    if (isName(user)) rows.put(`index\0${user}\0${isName(index) ? index : ''}\0${at}`, NOTHING)
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
  return index === undefined ? serialsOfUser(storage, user, from) : serialsUnder(storage, `index\0${user}\0${index}\0`, from)
}

interface Walk {
  readonly serials: AsyncIterator<Serial, void>
  readonly next: Serial
}

/** Merges the serials of all indexes of a user; an entry is under one of them. */
async function* serialsOfUser(storage: Storage, user: string, from: Serial): AsyncGenerator<Serial> {
  const walks: Walk[] = []
  for await (const prefix of indexPrefixes(storage, user)) {
    const serials = serialsUnder(storage, prefix, from, { atATime: ROWS_OF_A_WALK })
    const first = await serials.next()
    if (first.done !== true) walks.push({ serials, next: first.value })
  }
  while (walks.length > 0) {
    const least = walks.reduce((found, { next }, at) => (next < (walks[found]?.next ?? next) ? at : found), 0)
    const walk = walks[least]
    if (walk === undefined) return
    yield walk.next
    const step = await walk.serials.next()
    if (step.done === true) walks.splice(least, 1)
    else walks[least] = { ...walk, next: step.value }
  }
}

/** What the rows of each index of a user start with; it jumps from one to the next. */
async function* indexPrefixes(storage: Storage, user: string): AsyncGenerator<string> {
  const stem = `index\0${user}\0`
  for (let from = stem; ;) {
    const [found] = await firstRows(storage, stem, { from, limit: 1 })
    if (found === undefined) return
    const prefix = found.slice(0, -SERIAL_DIGITS)
    yield prefix
    from = `${prefix.slice(0, -1)}\x01`
  }
}

/** Holds nothing open between two steps. */
async function* serialsUnder(storage: Storage, prefix: string, from: Serial, { atATime = MOST_ROWS } = {}): AsyncGenerator<Serial, void> {
  for (let next = from; ;) {
    const rows = await firstRows(storage, prefix, { from: prefix + digits(next), limit: atATime })
    for (const row of rows) {
      const serial = toSerial(Number(row.slice(-SERIAL_DIGITS)))
      yield serial
      next = nextSerial(serial)
    }
    if (rows.length < atATime) return
  }
}

async function firstRows(storage: Storage, prefix: string, options: { readonly from: string; readonly limit: number }): Promise<string[]> {
  const names: string[] = []
  for await (const [row] of storage.projectionRows(NAME, prefix, options)) names.push(row)
  return names
}

function isName(name: string | undefined): name is string {
  return name !== undefined && isKeySegment(name)
}

function digits(serial: Serial): string {
  return String(serial).padStart(SERIAL_DIGITS, '0')
}
