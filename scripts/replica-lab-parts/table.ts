import type { LabNode, Seen } from './nodes.js'

/** What changes between two looks is what people wait for. */
export interface TableRow {
  readonly name: string
  readonly url: string
  readonly seen: Seen | undefined
  readonly writesPerSecond: number
  readonly readsPerSecond: number
  /** Since the start. */
  readonly errors: number
}

const HEADINGS = ['node', 'address', 'role', 'serial', 'lag', 'epoch', 'writes/s', 'reads/s', 'errors'] as const

/** Lines of the same width, one for the headings and one a node. */
export function tableText(rows: readonly TableRow[]): string {
  const cells = [HEADINGS, ...rows.map(cellsOf)]
  const widths = HEADINGS.map((_, at) => Math.max(...cells.map((line) => line[at]?.length ?? 0)))
  return cells.map((line) => `${line.map((cell, at) => (at < 3 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ')}\n`).join('')
}

function cellsOf({ name, url, seen, writesPerSecond, readsPerSecond, errors }: TableRow): readonly string[] {
  const known = seen === undefined ? ['-', '-', '-'] : [String(seen.serial), lagOf(seen), String(seen.epoch)]
  return [name, url, roleOf(seen), ...known, writesPerSecond.toFixed(0), readsPerSecond.toFixed(0), String(errors)]
}

export function roleOf(seen: Seen | undefined): string {
  if (seen === undefined) return 'gone'
  if (seen.role === 'MASTER') return seen.fenced === undefined ? 'primary' : 'primary no more'
  return seen['replica-state'] === 'following' ? 'replica' : `replica, ${seen['replica-state'] ?? 'connecting'}`
}

/** In serials, and in seconds where the replica cannot know them. */
function lagOf(seen: Seen): string {
  if (seen.role === 'MASTER') return '-'
  const serials = String(seen['replica-lag-serials'] ?? 0)
  return seen['replica-state'] === 'following' ? serials : `${serials}, ${(seen['replica-lag-seconds'] ?? 0).toFixed(0)} s`
}

/** From what nodes have counted since the last call. */
export class Rates {
  #before: readonly { readonly writes: number; readonly reads: number }[] = []
  #beforeMs = performance.now()

  rows(nodes: readonly LabNode[]): TableRow[] {
    const nowMs = performance.now()
    const seconds = Math.max(nowMs - this.#beforeMs, 1) / 1000
    const rows = nodes.map(({ name, url, seen, counts }, at) => {
      const { writes = 0, reads = 0 } = this.#before[at] ?? {}
      return { name, url, seen, errors: counts.errors, writesPerSecond: (counts.writes - writes) / seconds, readsPerSecond: (counts.reads - reads) / seconds }
    })
    this.#before = nodes.map(({ counts }) => ({ ...counts }))
    this.#beforeMs = nowMs
    return rows
  }
}
