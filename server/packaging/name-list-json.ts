import { Refusal } from '#log-format/api/refusal.js'
import { parseListItem, parseListJson } from './simple-json-parser.js'

/** Of the text that is parsed at a time, of one entry, and of all that stands around the list, in characters. */
const PORTION = 64 * 1024
const LONGEST_AROUND = 1024 * 1024

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT, COMMA] = [...'"\\[]{},'].map((char) => char.charCodeAt(0))

/**
 * Reads the JSON form of a project list (PEP 691) piece by piece, so that a
 * list of any length costs no memory: a few entries at a time are cut out of
 * it and parsed, and in the end what stood around them. Refuses
 * `upstream-failed` whatever is no such list.
 */
export class NameListJson {
  /** The document without the entries of its list. */
  #around = ''
  /** Entries that were not parsed yet. */
  #entries = ''
  #depth = 0
  #isInList = false
  #isInString = false
  #isEscaped = false
  /** Whether some entries of the list were parsed before those that wait. */
  #hasParsed = false

  /** Names in normal form of what was read so far and not told before. */
  write(text: string): string[] {
    const names: string[] = []
    let from = 0
    let comma = -1
    for (let at = 0; at < text.length; at += 1) {
      const char = text.charCodeAt(at)
      if (this.#isInString) {
        if (this.#isEscaped) this.#isEscaped = false
        else if (char === BACKSLASH) this.#isEscaped = true
        else if (char === QUOTE) this.#isInString = false
      } else if (char === QUOTE) {
        this.#isInString = true
      } else if (char === OPEN_LIST || char === OPEN_OBJECT) {
        this.#depth += 1
        if (this.#depth !== 2 || char !== OPEN_LIST || !/"projects"\s*:\s*$/.test((this.#around + text.slice(from, at)).slice(-200))) continue
        this.#addAround(text.slice(from, at + 1))
        this.#isInList = true
        from = at + 1
      } else if (char === CLOSE_LIST || char === CLOSE_OBJECT) {
        this.#depth -= 1
        if (!this.#isInList || this.#depth !== 1) continue
        names.push(...this.#parse(this.#entries + text.slice(from, at), 'rest'))
        this.#entries = ''
        this.#isInList = false
        this.#hasParsed = false
        from = at
      } else if (char === COMMA && this.#isInList && this.#depth === 2) {
        comma = at
      }
    }
    if (!this.#isInList) {
      this.#addAround(text.slice(from))
      return names
    }
    if (comma >= from) {
      names.push(...this.#parse(this.#entries + text.slice(from, comma), 'part'))
      this.#entries = ''
      from = comma + 1
    }
    this.#entries += text.slice(from)
    if (this.#entries.length > PORTION) throw unusable(`has an entry of more than ${PORTION} characters`)
    return names
  }

  /** The names that stood nowhere else. Refuses a document that is not whole, or of another kind or version. */
  end(): string[] {
    if (this.#isInList) throw unusable('breaks off')
    return parseListJson(this.#around).projects.map(({ name }) => name)
  }

  #parse(text: string, part: 'part' | 'rest'): string[] {
    if (/^\s*$/.test(text)) {
      if (part === 'rest' && !this.#hasParsed) return []
      throw unusable('is not JSON')
    }
    this.#hasParsed = true
    return entriesOf(text).flatMap((entry) => parseListItem(entry, 'projects[]') ?? [])
  }

  #addAround(text: string): void {
    this.#around += text
    if (this.#around.length > LONGEST_AROUND) throw unusable(`has more than ${LONGEST_AROUND} characters beside its list of projects`)
  }
}

function entriesOf(text: string): unknown[] {
  try {
    return JSON.parse(`[${text}]`) as unknown[]
  } catch (cause) {
    throw unusable('is not JSON', { cause })
  }
}

function unusable(what: string, options?: ErrorOptions): Refusal {
  return new Refusal('upstream-failed', `the list of projects of the upstream ${what}`, options)
}
