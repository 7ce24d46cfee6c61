/** What may vary from run to run, by the name that stands for it in a pattern. */
const VARYING: Readonly<Record<string, string>> = {
  text: '.*',
  path: '\\S+',
  number: '\\d+',
  version: '\\d+(?:\\.\\d+)+\\S*',
  space: ' +',
  plus: '(?:\\+|%2B)',
}

/**
 * Patterns of lines: plain text in which `{text}`, `{number}` and the like
 * stand for what varies, `{fh:NAME}` for the address of a file, which has to be the same wherever the name stands, and other
 * words for what is known from the start.
 */
export class LinePatterns {
  readonly #known: Map<string, string>

  constructor(known: Readonly<Record<string, string>>) {
    this.#known = new Map(Object.entries(known))
  }

  /** Where the first line from `from` on is that matches; undefined when none does. */
  find(pattern: string, lines: readonly string[], from: number): number | undefined {
    const names: string[] = []
    const expression = new RegExp(`^${this.#spell(pattern, names)}$`)
    for (let at = from; at < lines.length; at++) {
      const found = expression.exec(lines[at] ?? '')
      if (found === null) continue
      for (const [group, name] of names.entries()) this.#known.set(name, found[group + 1] ?? '')
      return at
    }
    return undefined
  }

  /** The text with everything that is known put in. */
  fill(text: string): string {
    return text.replace(/\{([\w:.-]+)\}/g, (whole, name: string) => this.#known.get(name) ?? whole)
  }

  #spell(pattern: string, names: string[]): string {
    return pattern.split(/(\{[\w:.-]+\})/).map((piece) => {
      const name = /^\{([\w:.-]+)\}$/.exec(piece)?.[1]
      if (name === undefined) return escape(piece)
      const known = this.#known.get(name)
      if (known !== undefined) return escape(known)
      const varying = VARYING[name]
      if (varying !== undefined) return varying
      if (!name.startsWith('fh:')) throw new Error(`nothing is known of {${name}} in ${pattern}`)
      if (names.includes(name)) return `\\${names.indexOf(name) + 1}`
      names.push(name)
      return '([0-9a-f]{3}/[0-9a-f]{13})'
    }).join('')
  }
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
