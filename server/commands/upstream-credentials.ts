import { Refusal } from '#log-format/api/refusal.js'
import type { IndexValue, JsonValue, MirrorIndexValue } from '#log-format/values.js'
import type { Transaction } from '#server/storage/transaction.js'
import { secretNames } from '#server/storage/vault.js'
import type { IndexRef } from './lookups.js'

/** What the vault has for one upstream. */
export interface UpstreamCredentials {
  readonly username: string
  readonly password: string
}

/**
 * Moves users and passwords in the URLs of upstreams into the vault: the log
 * is readable by many. An upstream that stays keeps those it had, wherever in
 * the order it stands; one that goes loses them. Refuses `invalid` upstreams
 * that are the same.
 */
export function withoutCredentials(tx: Transaction, ref: IndexRef, value: IndexValue, before: IndexValue | undefined): IndexValue {
  if (value.type !== 'mirror') return value
  const name = secretNames.upstream(ref.user, ref.index)
  const known = new Map(before?.type === 'mirror' ? credentialsIn(tx.secrets.get(name), before) : [])
  const bare = (stated: string): string => {
    const url = new URL(stated)
    if (url.username === '' && url.password === '') return stated
    const credentials = { username: decoded(url.username), password: decoded(url.password) }
    url.username = ''
    url.password = ''
    known.set(url.href, credentials)
    return url.href
  }
  const { mirror_url: stated, mirror_fallback_urls: statedOthers = [], ...rest } = value
  const first = stated === undefined ? undefined : bare(stated)
  const others = [...new Set(statedOthers.map(bare))]
  if (others.length > 0 && first === undefined) throw new Refusal('invalid', "'mirror_fallback_urls' option needs a mirror_url, which is asked first")
  if (first !== undefined && others.includes(first)) throw new Refusal('invalid', "'mirror_fallback_urls' option has the mirror_url, which is asked first")
  store(tx, name, { first: first === undefined ? undefined : known.get(first), others: others.flatMap((url) => pairOf(url, known.get(url))) })
  return { ...rest, ...(first !== undefined && { mirror_url: first }), ...(others.length > 0 && { mirror_fallback_urls: others }) }
}

/** What a secret of the vault has for the upstreams of a mirror, by the URL that its settings have. */
export function credentialsIn(secret: JsonValue | undefined, { mirror_url: first = '', mirror_fallback_urls: others = [] }: MirrorIndexValue): ReadonlyMap<string, UpstreamCredentials> {
  const fields = fieldsOf(secret)
  const fallbacks = fieldsOf(fields['fallbacks'])
  return new Map([...pairOf(first, credentials(fields)), ...others.flatMap((url) => pairOf(url, credentials(fieldsOf(fallbacks[url]))))])
}

type Pair = readonly [url: string, credentials: UpstreamCredentials]

function pairOf(url: string, found: UpstreamCredentials | undefined): Pair[] {
  return found === undefined ? [] : [[url, found]]
}

function store(tx: Transaction, name: string, { first, others }: { readonly first: UpstreamCredentials | undefined; readonly others: readonly Pair[] }): void {
  const fallbacks = Object.fromEntries(others.map(([url, { username, password }]) => [url, { username, password }]))
  if (first === undefined && others.length === 0) tx.secrets.delete(name)
  else tx.secrets.set(name, { ...first, ...(others.length > 0 && { fallbacks }) })
}

function credentials({ username, password }: { readonly [field: string]: unknown }): UpstreamCredentials | undefined {
  return typeof username === 'string' && typeof password === 'string' ? { username, password } : undefined
}

function fieldsOf(value: unknown): { readonly [field: string]: unknown } {
  return typeof value !== 'object' || value === null || Array.isArray(value) ? {} : { ...value }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // a lone percent sign stands for itself
  }
}
