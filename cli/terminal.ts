/** Colour and weight of a line: bold, yellow and bold, red, or as it is. */
export type Style = 'plain' | 'bold' | 'warning' | 'error'

const ESCAPES: Readonly<Record<Style, readonly [before: string, after: string]>> = {
  plain: ['', ''],
  bold: ['\u001b[1m', '\u001b[0m'],
  warning: ['\u001b[33m\u001b[1m', '\u001b[0m'],
  error: ['\u001b[31m', '\u001b[0m'],
}

export interface TerminalOptions {
  readonly writeOut: (text: string) => void
  readonly writeErr: (text: string) => void
  readonly colour: { readonly out: boolean; readonly err: boolean }
  /** Results are printed as one JSON document in the end instead of line by line. */
  readonly json: boolean
  readonly debug: boolean
}

/**
 * Where a command prints: results to standard output, everything about how it
 * goes to standard error, so that the first can be piped on.
 */
export class Terminal {
  readonly #options: TerminalOptions

  constructor(options: TerminalOptions) {
    this.#options = options
  }

  get json(): boolean {
    return this.#options.json
  }

  get debugging(): boolean {
    return this.#options.debug
  }

  /** A line of the result. It may hold line ends; markup then spans them. */
  line(text: string, style: Style = 'plain'): void {
    if (!this.#options.json) this.#options.writeOut(`${styled(text, style, this.#options.colour.out)}\n`)
  }

  /** A bold line of the result. */
  info(text: string): void {
    this.line(text, 'bold')
  }

  /** How it goes: not part of the result. */
  note(text: string, style: Style = 'plain'): void {
    this.#options.writeErr(`${styled(text, style, this.#options.colour.err)}\n`)
  }

  warn(text: string): void {
    this.note(text, 'warning')
  }

  error(text: string): void {
    this.note(text, 'error')
  }

  debug(text: string): void {
    if (this.#options.debug) this.note(`[debug] ${text}`)
  }

  /** What was printed before a question, on the same line as the answer. */
  ask(text: string): void {
    this.#options.writeErr(text)
  }

  /** The one document of `--json`. */
  document(value: unknown): void {
    this.#options.writeOut(`${JSON.stringify(value, null, 2)}\n`)
  }
}

function styled(text: string, style: Style, colour: boolean): string {
  const [before, after] = ESCAPES[style]
  return colour && before !== '' ? before + text + after : text
}

/**
 * Whether to mark up what goes to a stream: an explicit choice wins, then
 * `PY_COLORS`, `FORCE_COLOR`, `NO_COLOR` and a dumb terminal, then whether it is a terminal at all.
 */
export function wantsColour(env: NodeJS.ProcessEnv, isTerminal: boolean, chosen?: boolean): boolean {
  if (chosen !== undefined) return chosen
  if (env['PY_COLORS'] === '1') return true
  if (env['PY_COLORS'] === '0') return false
  if (isForced(env['FORCE_COLOR']) || isForced(env['CLICOLOR_FORCE'])) return true
  // no-color.org: present and not empty, whatever the value
  if ((env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb') return false
  return isTerminal
}

function isForced(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0'
}
