import { packValue, unpackValue } from '#log-format/codec.js'
import { keys } from '#log-format/keys.js'
import type { LinkValue, ToxEnvironment } from '#log-format/values.js'
import type { Projection } from '#server/storage/projection.js'
import type { Storage } from '#server/storage/storage.js'

const NAME = 'tox-summaries'
const NAMES_IN_FRONT = 4

/**
 * File, host, platform, environment and report → what the report says of that
 * environment, and when. Rows of one file, host, platform and environment
 * stand together: the newest of them counts, and when its report is removed, the one before.
 */
export const toxSummaries: Projection = {
  name: NAME,
  shape: 1,
  fold(change, rows) {
    const link = keys.link.match(change)
    if (link === undefined) return
    const { before, after } = link
    const place = change.segments.slice(0, NAMES_IN_FRONT)
    const { basename } = keys.link.params(change.segments)
    for (const row of rowsOf(place, basename, before).keys()) rows.delete(row)
    for (const [row, value] of rowsOf(place, basename, after)) rows.put(row, packValue(value))
  },
}

type RowValue = readonly [order: number, time: number, state: ToxEnvironment['state'], commands: number, failed: number, python: string]

function rowsOf(place: readonly string[], basename: string, link: LinkValue | undefined): Map<string, RowValue> {
  const rows = new Map<string, RowValue>()
  if (link?.forFile === undefined || link.report === undefined) return rows
  const { host, platform, environments } = link.report
  // A push takes a report along as old as it is.
  const time = link.log.find(({ what }) => what === 'upload')?.when ?? link.time
  for (const { name, state, commands, failed, python = '' } of environments) {
    rows.set([...place, link.forFile, host, platform, name, basename].join('\0'), [link.order, time, state, commands, failed, python])
  }
  return rows
}

export interface VersionPlace {
  readonly user: string
  readonly index: string
  readonly project: string
  readonly version: string
}

export interface ToxSummary {
  readonly file: string
  readonly host: string
  readonly platform: string
  readonly environment: string
  readonly state: ToxEnvironment['state']
  readonly commands: number
  readonly failed: number
  readonly python?: string
  /** When the report came, ms since the epoch. */
  readonly time: number
  /** Its file name. */
  readonly toxresult: string
}

/** What the newest report of each file, host, platform and environment of a version says, sorted by these. */
export async function latestToxSummaries(storage: Storage, { user, index, project, version }: VersionPlace): Promise<ToxSummary[]> {
  const newest = new Map<string, { readonly order: number; readonly summary: ToxSummary }>()
  for await (const [row, bytes] of storage.projectionRows(NAME, `${[user, index, project, version].join('\0')}\0`)) {
    const [file = '', host = '', platform = '', environment = '', toxresult = ''] = row.split('\0').slice(NAMES_IN_FRONT)
    const [order, time, state, commands, failed, python] = unpackValue(bytes) as RowValue
    const of = JSON.stringify([file, host, platform, environment])
    if ((newest.get(of)?.order ?? -1) > order) continue
    const summary = { file, host, platform, environment, state, commands, failed, ...(python !== '' && { python }), time, toxresult }
    newest.set(of, { order, summary })
  }
  return [...newest.values()].map(({ summary }) => summary)
}
