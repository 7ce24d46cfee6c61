const BITS = 2 ** 26

/**
 * Remembers names in 8 MB, however many they are (a Bloom filter with two
 * probes). It may take a new name for one seen before, about one in a
 * hundred after three million names, but never the other way round.
 */
export class SeenNames {
  readonly #words = new Uint32Array(BITS / 32)

  add(name: string): void {
    const { first, second } = probesOf(name)
    this.#mark(first)
    this.#mark(second)
  }

  /** False only for a name that was never added. */
  mayHave(name: string): boolean {
    const { first, second } = probesOf(name)
    return this.#isMarked(first) && this.#isMarked(second)
  }

  #mark(bit: number): void {
    this.#words[bit >>> 5] = (this.#words[bit >>> 5] ?? 0) | (1 << (bit & 31))
  }

  #isMarked(bit: number): boolean {
    return ((this.#words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0
  }
}

/** FNV-1a twice, over one walk of the code units. */
function probesOf(name: string): { readonly first: number; readonly second: number } {
  let first = 0x811c9dc5
  let second = 0x050c5d1f
  for (let at = 0; at < name.length; at += 1) {
    const unit = name.charCodeAt(at)
    first = Math.imul(first ^ unit, 0x01000193)
    second = Math.imul(second ^ unit, 0x01000193) + 0x9e3779b9
  }
  return { first: spread(first), second: spread(second) }
}

/** Brings the high bits, which FNV mixes best, into the low ones. */
function spread(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return ((mixed ^ (mixed >>> 12)) >>> 0) % BITS
}
