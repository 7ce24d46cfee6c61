import { Refusal } from '#log-format/api/refusal.js'

/** Names kept together as bytes, and those that wait to be sorted. */
const NAMES_IN_CHUNK = 256
const NAMES_IN_RUN = 8192

const MOST_BYTES = 64 * 1024 * 1024

/** Names in order, as chunks of lines. */
type Run = Buffer[]

/**
 * Sorts any number of project names without holding them as texts: they come
 * in as they like, mostly in order, and go out sorted and each once. Refuses
 * `upstream-failed` more than any list has.
 */
export class SortedNames {
  readonly #runs: Run[] = []
  #waiting: string[] = []
  #last = ''
  #bytes = 0

  /** Names of ASCII. */
  add(names: readonly string[]): void {
    for (const name of names) this.#waiting.push(name)
    if (this.#waiting.length >= NAMES_IN_RUN) this.#close()
  }

  /** Everything that was added. */
  *inOrder(): Generator<string> {
    this.#close()
    let last = ''
    for (const name of merged(this.#runs)) {
      if (name !== last) yield name
      last = name
    }
  }

  #close(): void {
    const names = this.#waiting
    const first = sort(names)
    if (first === undefined) return
    this.#waiting = []
    if (this.#runs.length === 0 || first < this.#last) this.#runs.push([])
    for (let at = 0; at < names.length; at += NAMES_IN_CHUNK) {
      const chunk = Buffer.from(names.slice(at, at + NAMES_IN_CHUNK).join('\n'), 'latin1')
      this.#bytes += chunk.length
      this.#runs.at(-1)?.push(chunk)
    }
    this.#last = names.at(-1) ?? ''
    if (this.#bytes > MOST_BYTES) throw new Refusal('upstream-failed', `the upstream lists names of more than ${MOST_BYTES} bytes together`)
  }
}

/** In place, by code unit; the first one. */
function sort(names: string[]): string | undefined {
  if (names.some((name, at) => at > 0 && name < (names[at - 1] ?? ''))) names.sort()
  return names[0]
}

function* merged(runs: readonly Run[]): Generator<string> {
  const [only, another] = runs
  if (another === undefined) {
    for (const chunk of only ?? []) yield* chunk.toString('latin1').split('\n')
    return
  }
  const middle = runs.length >> 1
  const [left, right] = [merged(runs.slice(0, middle)), merged(runs.slice(middle))]
  let [a, b] = [left.next(), right.next()]
  while (a.done !== true || b.done !== true) {
    if (b.done === true || (a.done !== true && a.value <= b.value)) {
      if (a.done !== true) yield a.value
      a = left.next()
    } else {
      yield b.value
      b = right.next()
    }
  }
}
