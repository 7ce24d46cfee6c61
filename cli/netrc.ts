import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expandPath, homeFolder } from './session.js'
import { codeOf } from './system-faults.js'
import type { Terminal } from './terminal.js'
import type { UrlCredentials } from './urls.js'

/** A login as the file has it. */
export interface NetrcEntry {
  /** Host that it is for; undefined for `default`, which is for all that are not named. */
  readonly machine: string | undefined
  /** Empty where there is none. */
  readonly login: string
  readonly password: string | undefined
}

/** Tells the line that is not understood and, as it may be a part of a password, nothing of what stands there. */
export class NetrcFault extends Error {
  override readonly name = 'NetrcFault'
}

export interface NetrcOptions {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly terminal: Terminal
  /** With `--no-netrc` no file is read. */
  readonly isOff: boolean
}

/** What was found wrong with the file, and what mends it. */
export interface NetrcProblem {
  readonly detail: string
  readonly fix: string
}

interface Contents {
  readonly entries: readonly NetrcEntry[]
  readonly mayOthersRead: boolean
  readonly fault: string | undefined
}

const LONGEST_CHARACTERS = 2 ** 20
const NOTHING: Contents = { entries: [], mayOthersRead: false, fault: undefined }

/**
 * Logins by host out of `.netrc`, read when the first one is asked for. The file is that of
 * `NETRC`, else `~/.netrc` or `~/_netrc`, as for pip, uv and the reference client.
 */
export class Netrc {
  readonly isOff: boolean
  readonly #options: NetrcOptions
  #path: string | undefined
  #contents: Contents | undefined
  #warned = false

  constructor(options: NetrcOptions) {
    this.isOff = options.isOff
    this.#options = options
  }

  /** Where the file is; undefined when there is none. */
  get path(): string | undefined {
    this.#read()
    return this.#path
  }

  /** For the host of a URL, of that user where one is named; of several the last, as Python has it. */
  loginFor(url: string, user?: string): UrlCredentials | undefined {
    const { entries, fault } = this.#read()
    if (fault !== undefined) this.#warn(`nothing is taken from ${this.#path ?? ''}: ${fault}`)
    const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
    const named = entries.filter(({ machine }) => machine?.toLowerCase() === host)
    const mine = named.length > 0 ? named : entries.filter(({ machine }) => machine === undefined)
    const { login = '', password } = mine.findLast((one) => user === undefined || one.login === user) ?? {}
    if (login === '' || password === undefined) return undefined
    const { detail, fix } = this.problem() ?? {}
    if (detail !== undefined) this.#warn(`${detail}: ${fix ?? ''}`)
    return { username: login, password }
  }

  /** What is wrong with the file; undefined when nothing is, or there is none. */
  problem(): NetrcProblem | undefined {
    const { fault, mayOthersRead } = this.#read()
    const path = this.#path ?? ''
    if (fault !== undefined) return { detail: `nothing is taken from ${path}: ${fault}`, fix: `correct ${path}` }
    return mayOthersRead ? { detail: `others may read the passwords in ${path}`, fix: `chmod 600 ${path}` } : undefined
  }

  #warn(text: string): void {
    if (!this.#warned) this.#options.terminal.warn(text)
    this.#warned = true
  }

  #read(): Contents {
    this.#contents ??= this.isOff ? NOTHING : this.#readFirst()
    return this.#contents
  }

  #readFirst(): Contents {
    const { env, cwd } = this.#options
    const named = env['NETRC'] ?? ''
    const home = homeFolder(env)
    for (const path of named === '' ? [join(home, '.netrc'), join(home, '_netrc')] : [expandPath(named, env, cwd)]) {
      const contents = readContents(path)
      if (contents === undefined) continue
      this.#path = path
      return contents
    }
    return NOTHING
  }
}

/** Undefined for a file that is not there. */
function readContents(path: string): Contents | undefined {
  try {
    const text = readFileSync(path, 'utf8')
    if (text.length > LONGEST_CHARACTERS) throw new NetrcFault('it is too long')
    const found = statSync(path)
    const mayOthersRead = process.platform !== 'win32' && found.isFile() && (found.mode & 0o077) !== 0
    return { entries: parseNetrc(text), mayOthersRead, fault: undefined }
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    const fault = error instanceof NetrcFault ? error.message : `it cannot be read (${codeOf(error) ?? 'unknown fault'})`
    return { ...NOTHING, fault }
  }
}

/**
 * All logins of a file, in its order. Read as Python's module `netrc` reads it: words between blanks, or in quotes;
 * a backslash takes the next character as it is; macros end at an empty line; `#` in the place of a
 * keyword begins a comment. Throws a `NetrcFault` for everything else.
 */
export function parseNetrc(text: string): NetrcEntry[] {
  const words = new WordReader(text.replaceAll('\r\n', '\n'))
  const entries: NetrcEntry[] = []
  for (let keyword = words.keyword(); keyword !== undefined; ) {
    if (keyword === 'macdef') {
      words.value()
      words.skipMacro()
      keyword = words.keyword()
      continue
    }
    if (keyword !== 'machine' && keyword !== 'default') throw words.fault(NO_KEYWORD)
    const machine = keyword === 'machine' ? words.value() : undefined
    const values = new Map<string, string>()
    for (keyword = words.keyword(); keyword !== undefined && Object.hasOwn(VALUES, keyword); keyword = words.keyword()) {
      values.set(VALUES[keyword] ?? '', words.value())
    }
    entries.push({ machine, login: values.get('login') ?? values.get('account') ?? '', password: values.get('password') })
  }
  return entries
}

const NO_KEYWORD = 'there is a word too many, or none of machine, default, macdef, login, account and password'
/** Keywords that a value follows, and what it is. */
const VALUES: Readonly<Record<string, string>> = { login: 'login', user: 'login', account: 'account', password: 'password' }

class WordReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** The next word that is no comment; undefined at the end. */
  keyword(): string | undefined {
    for (;;) {
      const word = this.#word()
      if (word?.startsWith('#') !== true) return word
      this.#skipTo('\n')
    }
  }

  /** The word behind a keyword. */
  value(): string {
    const word = this.#word()
    if (word === undefined) throw this.fault('a word is missing behind the last one')
    return word
  }

  /** Up to the empty line that ends it. */
  skipMacro(): void {
    const end = this.#text.indexOf('\n\n', this.#at)
    if (end === -1) throw this.fault('a macro has no empty line behind it')
    this.#at = end + 2
  }

  fault(what: string): NetrcFault {
    return new NetrcFault(`line ${this.#text.slice(0, this.#at).split('\n').length}: ${what}`)
  }

  #word(): string | undefined {
    while (this.#at < this.#text.length && isBlank(this.#text.charAt(this.#at))) this.#at++
    if (this.#at >= this.#text.length) return undefined
    const isQuoted = this.#text.charAt(this.#at) === '"'
    if (isQuoted) this.#at++
    let word = ''
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text.charAt(this.#at)
      if (isQuoted && char === '"') {
        this.#at++
        return word
      }
      if (!isQuoted && isBlank(char)) return word
      if (char === '\\') this.#at++
      word += this.#text.charAt(this.#at)
    }
    if (isQuoted) throw this.fault('a quote is not closed')
    return word
  }

  #skipTo(char: string): void {
    const at = this.#text.indexOf(char, this.#at)
    this.#at = at === -1 ? this.#text.length : at
  }
}

function isBlank(char: string): boolean {
  return char === ' ' || char === '\t' || char === '\r' || char === '\n'
}
