import { randomBytes } from 'node:crypto'
import { Refusal } from '#log-format/api/refusal.js'
import { packValue, unpackValue } from '#log-format/codec.js'
import { NO_SERIAL } from '#log-format/serial.js'
import type { Changelog } from './changelog.js'
import type { Database } from './database.js'
import { HEAD_ROW_SHAPE } from './head-row.js'
import type { Projection } from './projection.js'
import { rebuildRows, type RebuildProgress } from './rebuild.js'
import { factRow, metaRow, SHAPES_ROW } from './rows.js'

/** Layout of the rows; another number is refused rather than guessed at. */
export const STORE_FORMAT = 1

export interface ShapeOptions {
  readonly projections: readonly Projection[]
  readonly onRebuild?: (progress: RebuildProgress) => void
}

/** Notes the format and a new node in an empty database. Refuses `conflict` a format of another release. */
export async function checkFormat(db: Database): Promise<void> {
  const found = db.get(metaRow('format'))
  if (found === undefined) {
    await db.write(
      [
        { type: 'put', key: metaRow('format'), value: packValue(STORE_FORMAT) },
        { type: 'put', key: metaRow('node'), value: packValue(randomBytes(16).toString('hex')) },
      ],
      { sync: true },
    )
    return
  }
  const format = unpackValue(found)
  if (format !== STORE_FORMAT) {
    throw new Refusal('conflict', `the database has format ${JSON.stringify(format)}, this release reads format ${STORE_FORMAT}`)
  }
}

/** What was noted of the node, see `Storage.setFact`. */
export function factIn(db: Database, name: string): string | undefined {
  const found = db.get(factRow(name))
  const value = found === undefined ? undefined : unpackValue(found)
  return typeof value === 'string' ? value : undefined
}

/** The uuid of the node. */
export function nodeIn(db: Database): string {
  const found = db.get(metaRow('node'))
  const node = found === undefined ? undefined : unpackValue(found)
  if (typeof node !== 'string') throw new Error('the database has no node')
  return node
}

/** Folds all rows afresh when the shape of any projection is not the one they were folded with. */
export async function refreshShapes(db: Database, entries: Changelog, options: ShapeOptions): Promise<void> {
  const shapes = options.projections.map(({ name, shape }) => [name, shape] as const)
  const wanted = { ...Object.fromEntries(shapes.sort(([a], [b]) => (a < b ? -1 : 1))), '+keys': HEAD_ROW_SHAPE }
  if (Object.keys(wanted).length <= shapes.length) throw new Error('two projections have the same name')
  const key = SHAPES_ROW
  const found = db.get(key)
  if (found !== undefined && Buffer.compare(found, packValue(wanted)) === 0) return
  if (entries.head.serial !== NO_SERIAL) {
    await db.write([{ type: 'del', key }], { sync: true }) // a crash from here on starts the rebuild over
    await rebuildRows({
      db,
      entries,
      projections: options.projections,
      ...(options.onRebuild && { onProgress: options.onRebuild }),
    })
  }
  await db.write([{ type: 'put', key, value: packValue(wanted) }], { sync: true })
}
