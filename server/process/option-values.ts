import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { Refusal } from '#log-format/api/refusal.js'
import { parseSkippedIndexes, type SkippedIndexes } from '#server/replication/skip-indexes.js'
import type { FileOptions } from './config-file.js'
import { OPTIONS, type OptionName } from './options.js'
import { type AskedRole, ROLES } from './role.js'
import { UsageError } from './usage-error.js'

type Environment = Readonly<Record<string, string | undefined>>

export interface OptionSource {
  readonly given: FileOptions
  /** How a complaint names the option of this source. */
  readonly place: (name: string) => string
}

/** The winning text of each option, converted to its type or refused in the words of where it was written. */
export class OptionValues {
  readonly #env: Environment
  readonly #sources: readonly OptionSource[]

  constructor(env: Environment, sources: readonly OptionSource[]) {
    this.#env = env
    this.#sources = sources
  }

  text(name: OptionName): string | undefined {
    return this.#find(name).texts[0]
  }

  path(name: OptionName): string | undefined {
    const { texts, place } = this.#find(name)
    const [text] = texts
    if (text === '') throw new UsageError(`${place} wants a path, and got an empty one`)
    return text === undefined ? undefined : absolute(text, this.#env)
  }

  integer(name: OptionName, min: number, max: number): number {
    const { texts, place } = this.#find(name)
    const text = texts[0] ?? ''
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    if (value >= min && value <= max) return value
    throw new UsageError(`${place} wants a whole number from ${min} to ${max}, not '${text}'`)
  }

  /** In ms: `30d`, `12h`, `0`, or `forever`, which is `Infinity`. */
  duration(name: OptionName): number {
    const { texts, place } = this.#find(name)
    const text = (texts[0] ?? '').toLowerCase()
    if (text === 'forever') return Infinity
    const [, count, unit] = /^(\d{1,6})([dh])$/.exec(text) ?? []
    if (count !== undefined) return Number(count) * (unit === 'd' ? 24 : 1) * 60 * 60 * 1000
    if (text === '0') return 0
    throw new UsageError(`${place} wants a number of days or hours such as 30d or 12h, 0 or forever, not '${texts[0] ?? ''}'`)
  }

  flag(name: OptionName): boolean {
    const { texts, place } = this.#find(name)
    const text = (texts[0] ?? 'no').toLowerCase()
    if (['y', 'yes', 't', 'true', 'on', '1'].includes(text)) return true
    if (['n', 'no', 'f', 'false', 'off', '0'].includes(text)) return false
    throw new UsageError(`${place} wants yes or no, not '${text}'`)
  }

  url(name: OptionName): string | undefined {
    return this.urls(name)[0]
  }

  urls(name: OptionName): readonly string[] {
    const { texts, place } = this.#find(name)
    return texts.map((text) => plainUrl(text, place))
  }

  skippedIndexes(name: OptionName): SkippedIndexes {
    const { texts, place } = this.#find(name)
    try {
      return parseSkippedIndexes(texts[0] ?? '')
    } catch (error) {
      throw error instanceof Refusal ? new UsageError(`${place}: ${error.message}`) : error
    }
  }

  /** Given under either name. */
  oneUrl(name: OptionName, olderName: OptionName): string | undefined {
    const url = this.url(name)
    const older = this.url(olderName)
    if (url !== undefined && older !== undefined) throw new UsageError(`${this.#find(name).place} and ${this.#find(olderName).place} are the same, give one of them`)
    return url ?? older
  }

  role(name: OptionName): AskedRole {
    const { texts, place } = this.#find(name)
    const text = texts[0] ?? ''
    if (text === 'auto') return text
    const role = text === 'master' ? 'primary' : ROLES.find((one) => one === text)
    if (role === undefined) throw new UsageError(`${place} wants auto, ${ROLES.join(', ')}, not '${text}'`)
    return role
  }

  names(name: OptionName): readonly string[] | undefined {
    const { texts, place } = this.#find(name)
    const [text] = texts
    if (text === undefined) return undefined
    const names = splitList(text)
    if (names.length === 0) throw new UsageError(`${place} wants at least one name`)
    const noGroup = names.find((each) => each.startsWith(':') && !/^:[^:]+$/.test(each))
    if (noGroup !== undefined) throw new UsageError(`${place} wants names of users, and of groups as :group, not ${noGroup}`)
    return names
  }

  hosts(name: OptionName): readonly string[] {
    const { texts, place } = this.#find(name)
    for (const text of texts) {
      if (!/^[\w.:-]+$/.test(text) || text.includes('://')) throw new UsageError(`${place} wants the name or address of a host, not '${text}'`)
    }
    return texts.map((text) => text.toLowerCase())
  }

  networks(name: OptionName): readonly string[] {
    const { texts, place } = this.#find(name)
    for (const text of texts) {
      if (!isNetwork(text)) throw new UsageError(`${place} wants an address or network such as 10.0.0.0/8, not '${text}'`)
    }
    return texts
  }

  #find(name: OptionName): { readonly texts: readonly string[]; readonly place: string } {
    for (const { given, place } of this.#sources) {
      const texts = given.get(name)
      if (texts !== undefined) return { texts, place: place(name) }
    }
    const fallback = OPTIONS.find((option) => option.name === name)?.fallback
    return { texts: fallback === undefined ? [] : [fallback], place: `--${name}` }
  }
}

/** Without a slash at its end. */
function plainUrl(text: string, place: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain = url !== undefined && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
  if (!plain) throw new UsageError(`${place} wants an http or https address without query, not '${text}'`)
  return text.replace(/\/+$/, '')
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
}

/** Of a list with commas. */
export function splitList(text: string): string[] {
  return text.split(',').map((part) => part.trim()).filter((part) => part !== '')
}

/** From the working directory; `~` is the home. */
export function absolute(path: string, env: Environment): string {
  return resolve(path.replace(/^~(?=$|\/)/, env['HOME'] ?? '.'))
}
