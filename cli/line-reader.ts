import type { Readable } from 'node:stream'
import { Failure, interruption } from './failure.js'

const MOST_LINE_CHARACTERS = 64 * 1024
const BACKSPACE = '\u007f'
const CTRL = { c: '\u0003', d: '\u0004', u: '\u0015', w: '\u0017' } as const
const CURSOR_KEYS = /\u001b(?:\[[\d;]*[A-Za-z~]|O[A-Z])/g

/** Reads what is typed, line by line. Between lines nothing is read, so that the process may end. */
export class LineReader {
  readonly #input: Readable
  readonly #interrupted: AbortSignal
  /** Typed ahead. */
  #pending = ''
  #ended = false

  constructor(input: Readable, interrupted: AbortSignal) {
    this.#input = input
    this.#interrupted = interrupted
  }

  /**
   * The next line; undefined at the end of input. Hidden ones are not echoed
   * by a terminal, from before `ask` asks for them.
   */
  async line(echo: 'shown' | 'hidden', ask: () => void): Promise<string | undefined> {
    const raw = echo === 'hidden' ? rawMode(this.#input) : undefined
    raw?.(true)
    try {
      ask()
      while (!/[\r\n]/.test(this.#pending) && !this.#ended) {
        this.#take(await this.#chunk(), raw !== undefined)
        if (this.#pending.length > MOST_LINE_CHARACTERS) throw new Failure('CONFIG', 'the answer is too long')
      }
    } finally {
      raw?.(false)
    }
    const [whole = '', line = ''] = /^([^\r\n]*)(?:\r\n|\r|\n)/.exec(this.#pending) ?? []
    if (whole !== '') {
      this.#pending = this.#pending.slice(whole.length)
      return line
    }
    const rest = this.#pending
    this.#pending = ''
    return rest === '' ? undefined : rest
  }

  /** In raw mode the terminal leaves its keys to us. Those that stand for no character are passed over. */
  #take(text: string, raw: boolean): void {
    if (!raw) {
      this.#pending += text
      return
    }
    for (const key of text.replace(CURSOR_KEYS, '')) {
      if (key === CTRL.c) throw interruption()
      if (key === CTRL.d) this.#ended = true
      else if (key === BACKSPACE || key === '\b') this.#pending = this.#pending.replace(/[^\r\n]$/u, '')
      else if (key === CTRL.u) this.#pending = this.#pending.replace(/[^\r\n]*$/, '')
      else if (key === CTRL.w) this.#pending = this.#pending.replace(/[^\s]*[ \t]*$/, '')
      else if (key >= ' ' || key === '\r' || key === '\n' || key === '\t') this.#pending += key
    }
  }

  #chunk(): Promise<string> {
    return new Promise((resolve, reject) => {
      const input = this.#input
      const settle = (): void => {
        input.off('data', onData).off('end', onEnd).off('error', onEnd)
        this.#interrupted.removeEventListener('abort', onAbort)
        input.pause()
      }
      const onData = (chunk: Buffer | string): void => {
        settle()
        resolve(chunk.toString())
      }
      const onEnd = (): void => {
        settle()
        this.#ended = true
        resolve('')
      }
      const onAbort = (): void => {
        settle()
        reject(interruption())
      }
      if (this.#interrupted.aborted) {
        onAbort()
        return
      }
      if (input.readableEnded) {
        onEnd()
        return
      }
      input.on('data', onData).once('end', onEnd).once('error', onEnd)
      this.#interrupted.addEventListener('abort', onAbort, { once: true })
      input.resume()
    })
  }
}

/** How to switch the echo of a terminal off and on; undefined for what is none. */
function rawMode(input: Readable): ((on: boolean) => void) | undefined {
  const set: unknown = 'setRawMode' in input ? input.setRawMode : undefined
  return typeof set === 'function' ? (on) => void Reflect.apply(set, input, [on]) : undefined
}
