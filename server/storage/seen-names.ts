const BITS = 2 ** 26

/**
 * Remembers names in 8 MB, however many they are (a Bloom filter with two
 * probes). It may take a new name for one seen before, about one in a
 * hundred after three million names, but never the other way round.
 */
export class SeenNames {
  readonly #words = new Uint32Array(BITS / 32)

  /** Adds a name. False only for one that was never added before. */
  mayHaveHad(name: string): boolean {
    let first = 0x811c9dc5 // FNV-1a twice, over one walk of the code units
    let second = 0x050c5d1f
    for (let at = 0; at < name.length; at += 1) {
      const unit = name.charCodeAt(at)
      first = Math.imul(first ^ unit, 0x01000193)
      second = Math.imul(second ^ unit, 0x01000193) + 0x9e3779b9
    }
    const [hadFirst, hadSecond] = [this.#mark(spread(first)), this.#mark(spread(second))]
    return hadFirst && hadSecond
  }

  /** Whether it was marked before. */
  #mark(bit: number): boolean {
    const word = this.#words[bit >>> 5] ?? 0
    const mask = 1 << (bit & 31)
    this.#words[bit >>> 5] = word | mask
    return (word & mask) !== 0
  }
}

/** Brings the high bits, which FNV mixes best, into the low ones. */
function spread(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return ((mixed ^ (mixed >>> 12)) >>> 0) % BITS
}
