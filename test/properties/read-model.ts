import type { Random } from '#test/support/random.js'

/** One release, known by its number; its words stand in its names and in all of its content. */
export interface Item {
  readonly number: number
  readonly project: string
  readonly version: string
}

/** A file of an item on an index; the path begins behind that of the index. */
export interface ItemLink {
  readonly rel: string
  readonly path: string
}

export interface ModelIndex {
  /** `user/index` */
  readonly name: string
  /** A word that nothing but its title has. */
  readonly title: string
  /** Undefined: everybody. */
  readers: readonly string[] | undefined
  uploaders: readonly string[]
  testers: readonly string[]
  bases: readonly string[]
  items: ReadonlyMap<Item, readonly ItemLink[]>
}

/** What was there at a serial; who may see it is decided by the present. */
export interface Past {
  readonly serial: number
  readonly indexes: ReadonlyMap<string, Pick<ModelIndex, 'bases' | 'items'>>
}

/** Who asks: nobody (''), a user, or a user by a token that is for reading these indexes. */
export interface Asker {
  readonly name: string
  readonly user: string
  readonly only?: readonly string[]
}

export const USERS = ['alice', 'bob', 'carol'] as const
export const GROUPS = ['devs', 'ops'] as const

/** Who may read what, as plainly as can be: no log, no caches, no keys. */
export class ReadModel {
  readonly indexes = new Map<string, ModelIndex>()
  readonly groups = new Map<string, Set<string>>(GROUPS.map((group) => [group, new Set()]))
  readonly pasts: Past[] = []
  /** Words in what happened to an index. */
  readonly happened: { readonly serial: number; readonly index: string; readonly words: readonly string[] }[] = []

  mayRead(asker: Asker, name: string): boolean {
    const isForEverybody = this.#mayRead('', name)
    if (asker.only !== undefined && !asker.only.includes(name)) return isForEverybody
    return this.#mayRead(asker.user, name)
  }

  mayUpload({ user }: Asker, name: string): boolean {
    return user === 'root' || this.#isAmong(user, this.index(name).uploaders)
  }

  mayTest({ user }: Asker, name: string): boolean {
    return user === 'root' || this.#isAmong(user, this.index(name).testers)
  }

  /** The indexes whose files the asker sees on the page of one, now or as their contents and bases were. */
  seenThrough(asker: Asker, name: string, past?: Past): string[] {
    if (!this.mayRead(asker, name)) return []
    const reached = new Set([name])
    for (const one of reached) for (const base of this.at(one, past)?.bases ?? []) reached.add(base)
    return [...reached].filter((one) => this.at(one, past) !== undefined && this.mayRead(asker, one))
  }

  itemsSeen(asker: Asker, name: string, past?: Past): Set<Item> {
    return new Set(this.seenThrough(asker, name, past).flatMap((one) => [...this.at(one, past)!.items.keys()]))
  }

  at(name: string, past?: Past): Pick<ModelIndex, 'bases' | 'items'> | undefined {
    return past === undefined ? this.indexes.get(name) : past.indexes.get(name)
  }

  index(name: string): ModelIndex {
    const found = this.indexes.get(name)
    if (found === undefined) throw new Error(`the model has no ${name}`)
    return found
  }

  remember(serial: number): void {
    this.pasts.push({ serial, indexes: new Map([...this.indexes].map(([name, { bases, items }]) => [name, { bases, items }])) })
  }

  #mayRead(user: string, name: string): boolean {
    const { readers, uploaders } = this.index(name)
    if (readers === undefined || user === 'root' || user === name.split('/')[0]) return true
    return this.#isAmong(user, readers) || this.#isAmong(user, uploaders)
  }

  #isAmong(user: string, list: readonly string[]): boolean {
    return list.some((one) => {
      if (one === ':ANONYMOUS:') return true
      if (user === '') return false
      if (one === ':AUTHENTICATED:' || one === user) return true
      return one.startsWith(':') && (this.groups.get(one.slice(1))?.has(user) ?? false)
    })
  }
}

/** A list of an `acl_` setting, mostly short. */
export function randomPrincipals(random: Random): string[] {
  const all = [...USERS, ...GROUPS.map((group) => `:${group}`), ':nobodys', ':AUTHENTICATED:', ':ANONYMOUS:']
  return all.filter((_, at) => random.below(at < all.length - 2 ? 5 : 9) === 0)
}

/** The words of an item: of its names, which may be in what was asked for, and of its content, which may not. */
export const nameWord = ({ number }: Item): string => `namemark${number}x`
export const contentWord = ({ number }: Item): string => `textmark${number}x`

/** All such words, and those of titles, in what a server sent. */
export function wordsIn(text: string): Set<string> {
  return new Set(Array.from(text.matchAll(/(?:name|text|title)mark\d+x/gi), ([word]) => word.toLowerCase()))
}
