import type { Serial } from '#log-format/serial.js'

interface Waiter {
  readonly serial: Serial
  readonly wake: () => void
}

/** Says that the head moved. Whoever waits for a serial is woken; everybody reads the log from where they are. */
export class CommitSignal {
  #head: Serial
  readonly #waiters = new Set<Waiter>()

  constructor(head: Serial) {
    this.#head = head
  }

  moveTo(head: Serial): void {
    this.#head = head
    for (const waiter of this.#waiters) {
      if (waiter.serial > head) continue
      this.#waiters.delete(waiter)
      waiter.wake()
    }
  }

  /** Resolves once the head is at `serial` or beyond; rejects with the signal's reason when it is aborted first. */
  reached(serial: Serial, signal?: AbortSignal): Promise<void> {
    if (this.#head >= serial) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#waiters.delete(waiter)
        reject(signal?.reason as Error)
      }
      const waiter: Waiter = {
        serial,
        wake: () => {
          signal?.removeEventListener('abort', abort)
          resolve()
        },
      }
      if (signal?.aborted === true) return abort()
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiters.add(waiter)
    })
  }
}
