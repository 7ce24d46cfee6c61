import type { EntryHead } from '#log-format/entry-slices.js'
import type { Key } from '#log-format/key-pattern.js'
import { keys } from '#log-format/keys.js'
import { fieldsOfKind, type ForeignMutation, isMutationKind, type MutationKind, namesInMutation } from '#log-format/mutation.js'
import { type Serial, toSerial } from '#log-format/serial.js'
import type { IndexValue, JsonValue } from '#log-format/values.js'
import { type Caller, ROOT_USER } from '#server/auth/caller.js'
import { indexName, type IndexRef, renamedTo } from '#server/commands/lookups.js'
import type { FoundIndex } from '#server/commands/read-rights.js'
import { allows } from '#server/commands/rights.js'
import type { Reader } from '#server/storage/reader.js'

/** Whose business a mutation is: who may inspect the server, the user it is about, or who may read the index, if it names one. */
type Audience = 'inspectors' | 'user' | 'readers'

/** A new kind does not compile until it is said who may hear of it. */
const AUDIENCE: { readonly [K in MutationKind]: Audience } = {
  'server-initialised': 'inspectors',
  'user-created': 'user',
  'user-modified': 'user',
  'user-deleted': 'user',
  'token-created': 'user',
  'token-revoked': 'user',
  'group-created': 'inspectors',
  'group-modified': 'inspectors',
  'group-deleted': 'inspectors',
  'index-created': 'readers',
  'index-modified': 'readers',
  'index-deleted': 'readers',
  'index-cloned': 'readers',
  'index-renamed': 'readers',
  'version-registered': 'readers',
  'file-uploaded': 'readers',
  'docs-uploaded': 'readers',
  'toxresult-attached': 'readers',
  'release-pushed': 'readers',
  'file-removed': 'readers',
  'version-removed': 'readers',
  'project-removed': 'readers',
  'removal-undone': 'readers',
  'file-yanked': 'readers',
  'mirror-project-changed': 'readers',
  'primary-promoted': 'inspectors',
}

/** From when and for whom. */
interface Viewpoint {
  /** Shows the moment by which is judged. */
  readonly current: Reader
  readonly readerAt: (serial: Serial) => Reader
  readonly caller: Caller
}

/**
 * Shows mutations to one caller by the permissions of one moment. For an
 * index, those are its present `acl_read`, whatever it is called now; what
 * happened to an index that is gone is for its owner, also when there is
 * another one of that name. A user, too, does not inherit the past of an
 * earlier user of the name.
 */
export class ChangeReader {
  readonly #readerAt: (serial: Serial) => Reader
  readonly #current: Reader
  readonly #caller: Caller
  readonly #mayInspect: boolean
  readonly #indexesNow = new Map<string, FoundIndex | undefined>()

  private constructor(input: Viewpoint, mayInspect: boolean) {
    this.#current = input.current
    this.#readerAt = input.readerAt
    this.#caller = input.caller
    this.#mayInspect = mayInspect
  }

  static async open(input: Viewpoint): Promise<ChangeReader> {
    return new ChangeReader(input, await allows(input.current, input.caller, 'inspect', { user: ROOT_USER }))
  }

  /** What the caller may know of the mutation; undefined when that is nothing. */
  async show({ mutation, serial }: EntryHead): Promise<ForeignMutation | undefined> {
    const { kind } = mutation
    if (!isMutationKind(kind)) return this.#mayInspect ? { kind } : undefined // nobody here knows whose business it is
    const { user, index } = namesInMutation(mutation)
    if (!this.#mayInspect && !(await this.#mayHear(AUDIENCE[kind], user, index, serial))) return undefined
    const fields = fieldsOfKind(kind)
    const shown: ForeignMutation = { kind, ...Object.fromEntries(Object.entries(mutation).filter(([field]) => fields.includes(field))) }
    return this.#mayInspect ? shown : this.#withoutHiddenNames(shown, serial)
  }

  async #mayHear(audience: Audience, user: string | undefined, index: string | undefined, serial: Serial): Promise<boolean> {
    if (audience === 'inspectors' || user === undefined) return false
    if (audience === 'readers' && index !== undefined) return this.#mayRead({ user, index }, serial)
    return (await this.#isSameUser(user, serial)) && allows(this.#current, this.#caller, 'user-history', { user })
  }

  /** Whether the caller may read the index that an entry named. */
  async #mayRead(ref: IndexRef, serial: Serial): Promise<boolean> {
    const [then, now] = [await this.#valueAt(keys.index(ref), serial), await this.#indexNow(ref)]
    if (then !== undefined && then.created === now?.value.created) {
      return allows(this.#current, this.#caller, 'read', { user: now.user, indexName: now.index, index: now.value })
    }
    return (await this.#isSameUser(ref.user, serial)) && allows(this.#current, this.#caller, 'read', { user: ref.user, indexName: ref.index })
  }

  /** Whether the user of this name is the one whom an entry named. */
  async #isSameUser(user: string, serial: Serial): Promise<boolean> {
    const [then, now] = [await this.#valueAt(keys.user({ user }), serial), await this.#current.get(keys.user({ user }))]
    return then !== undefined && then.created === now?.created
  }

  /** What an entry left there, or took away. */
  async #valueAt<V>(key: Key<V>, serial: Serial): Promise<V | undefined> {
    return (await this.#readerAt(serial).get(key)) ?? (await this.#readerAt(toSerial(serial - 1)).get(key))
  }

  /** The index that has this name, or had it and was renamed. */
  async #indexNow(ref: IndexRef): Promise<FoundIndex | undefined> {
    const name = indexName(ref)
    if (!this.#indexesNow.has(name)) {
      const now = (await renamedTo(this.#current, ref)) ?? ref
      const value: IndexValue | undefined = await this.#current.get(keys.index(now))
      this.#indexesNow.set(name, value && { ...now, value })
    }
    return this.#indexesNow.get(name)
  }

  /** Who may read an index need not know the names of the one it got something from, or of those that inherit from it. */
  async #withoutHiddenNames(mutation: ForeignMutation, serial: Serial): Promise<ForeignMutation> {
    const { source, followed, ...rest } = mutation
    const asOf = mutation.kind === 'index-cloned' && typeof rest['serial'] === 'number' ? toSerial(rest['serial']) : serial
    return {
      ...rest,
      kind: mutation.kind,
      ...(source !== undefined && (await this.#mayKnow(source, asOf)) && { source }),
      ...(Array.isArray(followed) && { followed: await this.#knownOf(followed, serial) }),
    }
  }

  async #knownOf(names: readonly JsonValue[], serial: Serial): Promise<JsonValue[]> {
    const known: JsonValue[] = []
    for (const name of names) if (await this.#mayKnow(name, serial)) known.push(name)
    return known
  }

  /** Of `user/index`. */
  async #mayKnow(name: JsonValue, serial: Serial): Promise<boolean> {
    const [user = '', index = ''] = typeof name === 'string' ? name.split('/') : []
    return this.#mayRead({ user, index }, serial)
  }
}
