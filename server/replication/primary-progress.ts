import { NO_SERIAL, type Serial } from '#log-format/serial.js'

/** How far a primary was heard to be, and when; times in ms since the epoch, undefined for what never was. */
export class PrimaryProgress {
  readonly startedMs: number
  readonly #head: () => Serial
  readonly #now: () => number
  #serial: Serial = NO_SERIAL
  #serialMs: number | undefined
  #contactedMs: number | undefined
  #updatedMs: number | undefined
  #inSyncMs: number | undefined

  /** `head`: of the log here. */
  constructor(head: () => Serial, now: () => number) {
    this.#head = head
    this.#now = now
    this.startedMs = now()
  }

  /** Newest entry of the primary, as far as it said. */
  get serial(): Serial {
    return this.#serial
  }
  /** When it was first heard of that one. */
  get serialMs(): number | undefined {
    return this.#serialMs
  }
  /** Last request, and last sign of life. */
  get contactedMs(): number | undefined {
    return this.#contactedMs
  }
  get updatedMs(): number | undefined {
    return this.#updatedMs
  }
  /** When the log here last had all that the primary had. */
  get inSyncMs(): number | undefined {
    return this.#inSyncMs
  }

  lag(isFollowing: boolean): { readonly serials: number; readonly seconds: number } {
    const serials = Math.max(0, this.#serial - this.#head())
    const isInSync = isFollowing && serials === 0
    return { serials, seconds: isInSync ? 0 : Math.max(0, this.#now() - (this.#inSyncMs ?? this.startedMs)) / 1000 }
  }

  asked(): void {
    this.#contactedMs = this.#now()
  }

  lives(): void {
    this.#updatedMs = this.#now()
  }

  /** The primary says how far it is, at the beginning of an answer: what was heard before may have been wrong, or it was set back. */
  begins(serial: Serial): void {
    if (serial < this.#serial) this.#serial = NO_SERIAL
    this.heard(serial)
    this.lives()
  }

  heard(serial: Serial): void {
    if (serial > this.#serial) {
      this.#serial = serial
      this.#serialMs = this.#now()
    }
    if (this.#head() >= this.#serial) this.#inSyncMs = this.#now()
  }
}
