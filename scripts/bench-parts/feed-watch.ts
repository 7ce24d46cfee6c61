import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { sliceEntry } from '#log-format/entry-slices.js'
import { CHANGELOG_TYPE, FrameReader } from '#log-format/framing.js'
import { issueNodeToken } from '#server/auth/node-token.js'

/** Whose log is followed. */
export interface Followed {
  readonly port: number
  /** Of the primary, where the shared secret is. */
  readonly secretDir: string
  /** The first entry that is of interest. */
  readonly from: number
}

/** Follows a log as a replica does, on one connection, and keeps nothing of it but when each entry arrived. */
export class FeedWatch implements AsyncDisposable {
  readonly #followed: Followed
  readonly #node = randomBytes(16).toString('hex')
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #arrivals = new Map<number, number>()
  #next: number
  #reply: IncomingMessage | undefined
  #done: Promise<void> = Promise.resolve()
  #isOver = false
  #wake: () => void = () => undefined

  private constructor(followed: Followed) {
    this.#followed = followed
    this.#next = followed.from
  }

  /** Once the stream has begun. */
  static async open(followed: Followed): Promise<FeedWatch> {
    const watch = new FeedWatch(followed)
    const first = await watch.#ask()
    watch.#done = watch.#follow(first).finally(() => {
      watch.#isOver = true
      watch.#wake()
    })
    watch.#done.catch(() => undefined) // told to whoever waits for an entry, or disposes it
    return watch
  }

  /** When the entry with this serial arrived, by `performance.now()`; waits for it, for one caller at a time. */
  async arrival(serial: number): Promise<number> {
    for (;;) {
      const at = this.#arrivals.get(serial)
      if (at !== undefined) return at
      if (this.#isOver) throw new Error('the feed ended')
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    this.#reply?.destroy()
    this.#agent.destroy()
    await this.#done
  }

  /** A stream ends after a while, and the next one goes on where it ended. */
  async #follow(first: IncomingMessage): Promise<void> {
    for (let reply = first; ; reply = await this.#ask()) {
      try {
        await this.#read(reply)
      } catch (error) {
        if (!this.#isOver) throw error
      }
      if (this.#isOver) return
    }
  }

  async #ask(): Promise<IncomingMessage> {
    const { port, secretDir } = this.#followed
    const token = issueNodeToken(readFileSync(join(secretDir, '.secret')), this.#node, Date.now())
    const headers = { Accept: CHANGELOG_TYPE, Authorization: `Bearer ${token}`, 'X-DEVPI-REPLICA-UUID': this.#node }
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`http://127.0.0.1:${port}/+changelog/${this.#next}-`, { headers, agent: this.#agent }, resolve).on('error', reject)
    })
    if (reply.statusCode !== 200) throw new Error(`the feed answered ${reply.statusCode}`)
    this.#reply = reply
    return reply
  }

  async #read(reply: IncomingMessage): Promise<void> {
    const reader = new FrameReader()
    for await (const piece of reply as AsyncIterable<Buffer>) {
      const now = performance.now()
      for (const { bytes } of reader.push(piece)) {
        const { serial } = sliceEntry(bytes)
        this.#arrivals.set(serial, now)
        this.#next = serial + 1
      }
      this.#wake()
    }
  }
}
