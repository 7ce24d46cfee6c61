interface Queue {
  running: number
  readonly waiting: (() => void)[]
}

/** How many files come from one server at a time: fewer than there are connections to it, so that pages need not wait for files. */
export class DownloadSlots {
  readonly #most: number
  readonly #queues = new Map<string, Queue>()

  constructor(most = 24) {
    this.#most = most
  }

  /** Resolves when it is the turn of a file; to be disposed when it has come. Rejects with the reason of the signal. */
  async take(url: string, signal: AbortSignal): Promise<Disposable> {
    const { origin } = new URL(url)
    const queue = this.#queues.get(origin) ?? { running: 0, waiting: [] }
    this.#queues.set(origin, queue)
    if (queue.running < this.#most) queue.running += 1
    else await turnIn(queue, signal)
    return { [Symbol.dispose]: () => { this.#leave(origin, queue) } }
  }

  /** The turn goes to who waits longest. */
  #leave(origin: string, queue: Queue): void {
    const next = queue.waiting.shift()
    if (next === undefined) queue.running -= 1
    else next()
    if (queue.running === 0) this.#queues.delete(origin)
  }
}

async function turnIn(queue: Queue, signal: AbortSignal): Promise<void> {
  let onTurn = (): void => undefined
  const turn = new Promise<void>((resolve) => { onTurn = resolve })
  signal.throwIfAborted()
  signal.addEventListener('abort', onTurn)
  queue.waiting.push(onTurn)
  await turn
  signal.removeEventListener('abort', onTurn)
  const place = queue.waiting.indexOf(onTurn)
  if (place < 0) return
  queue.waiting.splice(place, 1)
  signal.throwIfAborted()
}
