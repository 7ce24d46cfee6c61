import type { Context } from './base-command.js'

const REDRAW_MS = 100
const BAR_CELLS = 20

/** One line at the foot of a terminal that tells how far transfers are. It draws nothing where there is no terminal. */
export class Progress implements Disposable {
  readonly #context: Context
  #total: number
  readonly #parts = new Map<string, number>()
  readonly #announced = new Set<string>()
  readonly #started = Date.now()
  #drawn = 0

  /** `total` in bytes, of all parts together whose size is known before they begin. */
  constructor(context: Context, total = 0) {
    this.#context = context
    this.#total = total
  }

  /** The size of a part that turns out on its way. */
  announce(part: string, bytes: number | undefined): void {
    if (bytes === undefined || this.#announced.has(part)) return
    this.#announced.add(part)
    this.#total += bytes
  }

  /** So many bytes of that part are through. */
  set(part: string, bytes: number): void {
    this.#parts.set(part, bytes)
    if (!this.#context.progress || Date.now() - this.#drawn < REDRAW_MS) return
    this.#drawn = Date.now()
    this.#context.surroundings.writeErr(`\r\u001b[K${this.#text()}`)
  }

  /** Makes room for a line; the next `set` draws the bar again. */
  clear(): void {
    if (!this.#context.progress || this.#drawn === 0) return
    this.#drawn = 0
    this.#context.surroundings.writeErr('\r\u001b[K')
  }

  #text(): string {
    const done = [...this.#parts.values()].reduce((sum, bytes) => sum + bytes, 0)
    const share = this.#total === 0 ? 1 : Math.min(1, done / this.#total)
    const rate = done / Math.max(0.1, (Date.now() - this.#started) / 1000)
    const bar = '#'.repeat(Math.round(share * BAR_CELLS)).padEnd(BAR_CELLS, '.')
    const left = rate > 0 ? Math.ceil((this.#total - done) / rate) : 0
    const percent = `${Math.floor(share * 100)}%`
    const parts = [`[${bar}] ${percent}`, ` of ${megabytes(this.#total)} MB`, `, ${megabytes(rate)} MB/s`, `, ${left} s left`]
    return fitting(parts, this.#context.surroundings.columns - 1) || percent
  }

  [Symbol.dispose](): void {
    this.clear()
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}

/** As many of the parts as have room together: a line that wraps could not be drawn over. */
function fitting(parts: readonly string[], columns: number): string {
  const joined = parts.map((_part, at) => parts.slice(0, at + 1).join(''))
  return joined.findLast((text) => text.length <= columns) ?? ''
}
