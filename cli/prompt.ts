import { Failure } from './failure.js'
import { LineReader } from './line-reader.js'
import type { Surroundings } from './surroundings.js'
import type { Terminal } from './terminal.js'

const PASSWORD_TRIES = 3
const SHORT_PASSWORD = 8

/** Questions to the user. Without a terminal nobody is there to answer: then they fail, and say which option answers. */
export class Prompt {
  readonly #surroundings: Surroundings
  readonly #terminal: Terminal
  readonly #yes: boolean
  readonly #lines: LineReader

  constructor(surroundings: Surroundings, terminal: Terminal, yes: boolean) {
    this.#surroundings = surroundings
    this.#terminal = terminal
    this.#yes = yes
    this.#lines = new LineReader(surroundings.input, surroundings.interrupted)
  }

  /** Asks until the answer is yes or no. */
  async confirm(question = 'Are you sure'): Promise<boolean> {
    if (this.#yes) {
      this.#terminal.note(`${question} (yes/no)? yes (autoset from -y option)`, 'bold')
      return true
    }
    if (!this.#mayAsk) throw new Failure('CANCELLED', 'refusing without -y', { hint: 'nobody can be asked here: add -y to go on' })
    for (;;) {
      const answer = (await this.#read(`${question} (yes/no)? `, 'shown')).trim().toLowerCase()
      if (answer === 'yes' || answer === 'y') return true
      if (answer === 'no' || answer === 'n') return false
      this.#terminal.error(`not a valid choice '${answer}'`)
    }
  }

  /** A text that may be shown while it is typed. */
  async text(question: string, option: string): Promise<string> {
    if (!this.#mayAsk) throw new Failure('CANCELLED', `${question.replace(/[:?]\s*$/, '')} is needed`, { hint: `nobody can be asked here: give ${option}` })
    return (await this.#read(question, 'shown')).trim()
  }

  async password(question: string, option: string): Promise<string> {
    if (!this.#mayAsk) throw new Failure('CANCELLED', 'a password is needed', { hint: `nobody can be asked here: use ${option}` })
    return this.#read(question, 'hidden')
  }

  /** A new password, typed twice; a weak one is asked about. */
  async newPassword(user: string): Promise<string> {
    for (let attempt = 0; attempt < PASSWORD_TRIES; attempt++) {
      const password = await this.password(`new password for user ${user}: `, 'password=… or --password-stdin')
      const again = await this.password(`repeat new password for user ${user}: `, '--password-stdin')
      if (password !== again) this.#terminal.error('passwords did not match')
      else if (await this.#acceptsWeak(password)) return password
    }
    throw new Failure('CANCELLED', 'no password was set', { hint: 'nothing was changed, try again' })
  }

  #acceptsWeak(password: string): Promise<boolean> {
    if (password === '') return this.confirm('empty password, are you sure to use it?')
    if (password.length < SHORT_PASSWORD) return this.confirm(`password with less than ${SHORT_PASSWORD} characters, are you sure to use it?`)
    return Promise.resolve(true)
  }

  /** All of standard input but the line end behind it: where scripts put a password. */
  async fromInput(): Promise<string> {
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of this.#surroundings.input) {
      const bytes = Buffer.from(chunk as Uint8Array | string)
      size += bytes.length
      if (size > 64 * 1024) throw new Failure('CONFIG', 'standard input is too long for a password')
      chunks.push(bytes)
    }
    return Buffer.concat(chunks).toString('utf8').replace(/\r?\n$/, '')
  }

  get #mayAsk(): boolean {
    const { terminals, env } = this.#surroundings
    return terminals.input && (env['CI'] ?? '') === ''
  }

  async #read(question: string, echo: 'shown' | 'hidden'): Promise<string> {
    let answer: string | undefined
    try {
      answer = await this.#lines.line(echo, () => this.#terminal.ask(question))
    } finally {
      if (echo === 'hidden' || answer === undefined) this.#terminal.ask('\n') // nobody's Enter ended the line
    }
    if (answer === undefined) throw new Failure('CANCELLED', 'no answer, nothing was done')
    return answer
  }
}
