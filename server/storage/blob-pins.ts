/**
 * Which blobs must stay, and which are just being deleted. Keeps the sweep
 * from taking a blob between its commit and the entry that names it.
 */
export class BlobPins {
  readonly #pins = new Map<string, number>()
  readonly #deletions = new Map<string, Promise<unknown>>()

  /** From the return on, no deletion of this digest starts until disposal. */
  pin(sha256: string): Disposable {
    this.#pins.set(sha256, (this.#pins.get(sha256) ?? 0) + 1)
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        const left = (this.#pins.get(sha256) ?? 1) - 1
        if (left === 0) this.#pins.delete(sha256)
        else this.#pins.set(sha256, left)
      },
    }
  }

  /** Resolves when a deletion that had started before the pin is over; only then may the blob be put in place. */
  async settled(sha256: string): Promise<void> {
    await this.#deletions.get(sha256)?.catch(() => undefined)
  }

  /** Runs `remove` unless the digest is pinned, being deleted, or `onlyIf` says no. Tells whether something was removed. */
  async remove(
    sha256: string,
    remove: () => Promise<boolean>,
    onlyIf: () => boolean | Promise<boolean> = () => true,
  ): Promise<boolean> {
    if (this.#pins.has(sha256) || this.#deletions.has(sha256)) return false
    const deletion = (async () => (await onlyIf()) && !this.#pins.has(sha256) && (await remove()))()
    this.#deletions.set(sha256, deletion)
    try {
      return await deletion
    } finally {
      this.#deletions.delete(sha256)
    }
  }
}
