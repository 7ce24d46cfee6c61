import { Refusal } from '#log-format/api/refusal.js'

/** Deeper documents are refused: their readers would give up on them. */
const MAX_DEPTH = 1000

/**
 * What may come next. A number is in one of several states, by the part of it
 * that was read last; those in `NUMBER_ENDS` may be its end.
 */
type State =
  | 'value'
  | 'first-item'
  | 'first-name'
  | 'name'
  | 'colon'
  | 'after'
  | 'string'
  | 'escape'
  | 'hex'
  | 'literal'
  | NumberState
type NumberState = 'minus' | 'zero' | 'integer' | 'point' | 'fraction' | 'exponent' | 'exponent-sign' | 'exponent-digits'

/** Here white space may stand. */
const BETWEEN_TOKENS: ReadonlySet<State> = new Set<State>(['value', 'first-item', 'first-name', 'name', 'colon', 'after'])
const NUMBER_ENDS: ReadonlySet<State> = new Set<State>(['zero', 'integer', 'fraction', 'exponent-digits'])

/** Where a character leads in the middle of a number; what is not listed ends or breaks it. */
const NUMBER_STEPS: Readonly<Record<NumberState, readonly (readonly [characters: RegExp, next: NumberState])[]>> = {
  minus: [[/0/, 'zero'], [/[1-9]/, 'integer']],
  zero: [[/\./, 'point'], [/[eE]/, 'exponent']],
  integer: [[/\d/, 'integer'], [/\./, 'point'], [/[eE]/, 'exponent']],
  point: [[/\d/, 'fraction']],
  fraction: [[/\d/, 'fraction'], [/[eE]/, 'exponent']],
  exponent: [[/[+-]/, 'exponent-sign'], [/\d/, 'exponent-digits']],
  'exponent-sign': [[/\d/, 'exponent-digits']],
  'exponent-digits': [[/\d/, 'exponent-digits']],
}

const LITERALS: Readonly<Record<string, string>> = { t: 'rue', f: 'alse', n: 'ull' }
/** Up to where a string holds nothing of meaning. */
const PLAIN_TEXT = /[^"\\\u0000-\u001f]*/y
const BLANKS = /[ \t\n\r]*/y

/**
 * Tells whether bytes are a JSON document (RFC 8259) in UTF-8, piece by piece
 * and without building it, so that a large one costs no memory. Refuses `invalid`.
 */
export class JsonScanner {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  /** The brackets that are open. */
  readonly #open: ('{' | '[')[] = []
  #state: State = 'value'
  /** What is left of `true`, `false` or `null`. */
  #literal = ''
  #hexDigits = 0
  /** Whether the string being read is the name of a member. */
  #inName = false

  write(bytes: Uint8Array): void {
    this.#scan(this.#decode(bytes, { stream: true }))
  }

  /** The document is complete. */
  end(): void {
    this.#scan(this.#decode(new Uint8Array(), { stream: false }))
    const complete = this.#state === 'after' || NUMBER_ENDS.has(this.#state)
    if (!complete || this.#open.length > 0) throw notJson()
  }

  #decode(bytes: Uint8Array, options: { readonly stream: boolean }): string {
    try {
      return this.#decoder.decode(bytes, options)
    } catch (cause) {
      throw notJson(cause)
    }
  }

  #scan(text: string): void {
    let at = 0
    while (at < text.length) {
      const skipped = this.#state === 'string' ? PLAIN_TEXT : BETWEEN_TOKENS.has(this.#state) ? BLANKS : undefined
      if (skipped !== undefined) {
        skipped.lastIndex = at
        skipped.test(text)
        at = skipped.lastIndex
        if (at === text.length) return
      }
      this.#state = this.#next(text.charAt(at))
      at += 1
    }
  }

  #next(character: string): State {
    switch (this.#state) {
      case 'string':
        if (character === '\\') return 'escape'
        if (character !== '"') throw notJson()
        return this.#inName ? 'colon' : 'after'
      case 'escape':
        this.#hexDigits = 0
        return character === 'u' ? 'hex' : requireOneOf('"\\/bfnrt', character, 'string')
      case 'hex':
        this.#hexDigits += 1
        return requireOneOf('0123456789abcdefABCDEF', character, this.#hexDigits === 4 ? 'string' : 'hex')
      case 'literal':
        if (!this.#literal.startsWith(character)) throw notJson()
        this.#literal = this.#literal.slice(1)
        return this.#literal === '' ? 'after' : 'literal'
      case 'colon':
        return requireOneOf(':', character, 'value')
      case 'name':
      case 'first-name':
        if (character === '}' && this.#state === 'first-name') return this.#close('{')
        this.#inName = true
        return requireOneOf('"', character, 'string')
      case 'first-item':
        return character === ']' ? this.#close('[') : this.#value(character)
      case 'value':
        return this.#value(character)
      case 'after':
        return this.#after(character)
      default:
        return this.#inNumber(this.#state, character)
    }
  }

  #value(character: string): State {
    if (character === '{') return this.#enter('{', 'first-name')
    if (character === '[') return this.#enter('[', 'first-item')
    if (character === '"') {
      this.#inName = false
      return 'string'
    }
    if (character === '-') return 'minus'
    const literal = LITERALS[character]
    if (literal === undefined) return this.#inNumber('minus', character)
    this.#literal = literal
    return 'literal'
  }

  #inNumber(state: NumberState, character: string): State {
    const step = NUMBER_STEPS[state].find(([characters]) => characters.test(character))
    if (step !== undefined) return step[1]
    if (!NUMBER_ENDS.has(state)) throw notJson()
    return /[ \t\n\r]/.test(character) ? 'after' : this.#after(character)
  }

  #after(character: string): State {
    const inside = this.#open.at(-1)
    if (character === ',' && inside !== undefined) return inside === '{' ? 'name' : 'value'
    if (character === '}') return this.#close('{')
    if (character === ']') return this.#close('[')
    throw notJson()
  }

  #enter(bracket: '{' | '[', state: State): State {
    if (this.#open.push(bracket) > MAX_DEPTH) {
      throw new Refusal('invalid', `Bad request: the json is nested deeper than ${MAX_DEPTH} levels`)
    }
    return state
  }

  #close(bracket: '{' | '['): State {
    if (this.#open.pop() !== bracket) throw notJson()
    return 'after'
  }
}

function requireOneOf(characters: string, character: string, next: State): State {
  if (!characters.includes(character)) throw notJson()
  return next
}

function notJson(cause?: unknown): Refusal {
  return new Refusal('invalid', 'Bad request: could not decode json', { cause })
}
