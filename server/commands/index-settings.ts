import { Refusal } from '#log-format/api/refusal.js'
import type { Settings } from '#log-format/mutation.js'
import type { IndexValue, JsonValue, MirrorIndexValue, StageIndexValue } from '#log-format/values.js'
import { groupNamed } from '#server/auth/principals.js'
import type { PolicySettings } from '#server/packaging/release-policy.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'
import { POLICY_KEYS, policyItems } from './policy-settings.js'

/** Settings as somebody sent them: JSON values, mostly strings from a command line. */
export type RawSettings = { readonly [key: string]: JsonValue }

type Coerce = (value: JsonValue, key: string) => JsonValue

const STAGE_KEYS: Readonly<Record<string, Coerce>> = {
  volatile: toBoolean,
  acl_upload: toAclList,
  acl_toxresult_upload: toAclList,
  acl_read: toAclList,
  bases: toBases,
  mirror_whitelist: (value) => toList(value).map((item) => (item === '*' ? item : normalizeProjectName(item))),
  mirror_whitelist_inheritance: toInheritance,
  ...POLICY_KEYS,
  title: asGiven,
  description: asGiven,
  custom_data: asGiven,
}

const MIRROR_KEYS: Readonly<Record<string, Coerce>> = {
  volatile: toBoolean,
  acl_read: toAclList,
  mirror_url: toUrl,
  mirror_fallback_urls: toUrls,
  mirror_web_url_fmt: toText,
  mirror_cache_expiry: toSeconds,
  mirror_no_project_list: toBoolean,
  mirror_use_external_urls: toBoolean,
  mirror_ignore_serial_header: toBoolean,
  ...POLICY_KEYS,
  title: asGiven,
  description: asGiven,
  custom_data: asGiven,
}

/** In one list of who may do something. */
const MOST_GROUPS = 100
/** Each may keep those waiting who ask. */
const MOST_FALLBACKS = 7

/** Sent along by clients that return what they were given, or left over from older ones; never stored. */
const IGNORED = new Set(['type', 'projects', 'pypi_whitelist', '_keep_unknown', 'index'])
const IGNORED_ON_MIRRORS = new Set(['bases', 'acl_upload', 'mirror_whitelist'])
/** Options that always have a value, so that taking them away means nothing. */
const ALWAYS_SET = new Set([
  'type',
  'volatile',
  'acl_upload',
  'acl_toxresult_upload',
  'bases',
  'mirror_whitelist',
  'mirror_whitelist_inheritance',
])

/** The value of a new index of `type` out of the settings sent for it. Refuses `invalid`, naming all faults. */
export function newIndexValue(raw: RawSettings, owner: string, created: number): IndexValue {
  const type = raw['type'] ?? 'stage'
  if (type !== 'stage' && type !== 'mirror') {
    throw new Refusal('invalid', `unknown index type ${quoted(type)}`)
  }
  const given = coerceSettings(raw, type)
  return type === 'stage' ? stageValue({ created, acl_upload: [owner], ...given }) : mirrorValue({ created, ...given })
}

/**
 * The value after `changes` are laid over `before`; null takes a setting
 * away. Keys that are not named keep their values.
 */
export function changedIndexValue(before: IndexValue, changes: RawSettings): IndexValue {
  const type = changes['type']
  if (type !== undefined && type !== before.type) {
    throw new Refusal('invalid', "the 'type' of an index can't be changed")
  }
  const settings = { ...before, ...coerceSettings(changes, before.type) }
  const present = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null))
  return before.type === 'stage' ? stageValue(present) : mirrorValue(present)
}

/** Settings as replies and mutations show them: all but the time of creation. */
export function settingsOf(index: IndexValue): Settings {
  return Object.fromEntries(Object.entries(index).filter(([key]) => key !== 'created'))
}

/**
 * What a list of operations `key=value`, `key+=value`, `key-=value` and
 * `key-=` makes of the settings: the keys they touch, uncoerced; null for a
 * setting that is taken away.
 */
export function applyOperations(before: IndexValue, operations: readonly JsonValue[]): RawSettings {
  const current: Settings = settingsOf(before)
  const changes: Record<string, JsonValue> = {}
  const known = before.type === 'stage' ? STAGE_KEYS : MIRROR_KEYS

  for (const operation of operations) {
    if (typeof operation !== 'string') {
      throw new Refusal('invalid', `an operation must be a string such as "key=value", not ${quoted(operation)}`)
    }
    const { key, operator, value } = parseOperation(operation)
    const now = Object.hasOwn(changes, key) ? (changes[key] ?? null) : (current[key] ?? null)
    if (operator === '=') {
      changes[key] = value
    } else if (operator === '-=' && value === '') {
      if (ALWAYS_SET.has(key)) throw new Refusal('invalid', "Default values can't be removed.")
      if (Object.hasOwn(known, key)) changes[key] = null
    } else if (operator === '+=') {
      changes[key] = appended(key, now, value, known)
    } else {
      changes[key] = withoutItem(key, now, value)
    }
  }
  return changes
}

type Operator = '=' | '+=' | '-='

function parseOperation(text: string): { readonly key: string; readonly operator: Operator; readonly value: string } {
  const at = text.indexOf('=')
  if (at === -1) return { key: text, operator: '=', value: '' }
  const sign = text[at - 1]
  const operator: Operator = sign === '+' ? '+=' : sign === '-' ? '-=' : '='
  return { key: text.slice(0, operator === '=' ? at : at - 1), operator, value: text.slice(at + 1) }
}

/** The policy of an index with changes laid over it, where null takes an option away. Refuses `invalid` what is no option of a policy. */
export function changedPolicy(before: IndexValue, changes: RawSettings): PolicySettings {
  const unknown = Object.entries(changes).filter(([key]) => !Object.hasOwn(POLICY_KEYS, key))
  if (unknown.length > 0) throw unknownKeys(unknown)
  const present = Object.entries(before).filter(([key]) => Object.hasOwn(POLICY_KEYS, key))
  return withoutNulls({ ...Object.fromEntries(present), ...coerceSettings(changes, before.type) })
}

function appended(key: string, now: JsonValue, item: string, known: Readonly<Record<string, Coerce>>): JsonValue {
  if (now === null && Object.hasOwn(known, key)) return [item]
  if (now === null) throw unknownKeys([[key, item]])
  const items = itemsOf(key, now)
  if (!isStrings(items)) throw new Refusal('invalid', `The '${key}' setting is not a list, use ${key}=${item}`)
  return items.includes(item) ? items : [...items, item]
}

function withoutItem(key: string, now: JsonValue, item: string): JsonValue {
  const items = itemsOf(key, now)
  if (!isStrings(items) || !items.includes(item)) {
    throw new Refusal('invalid', `The '${key}' setting doesn't have value '${item}'`)
  }
  return items.filter((one) => one !== item)
}

/** The items of a list that may be written as a text. */
function itemsOf(key: string, value: JsonValue): JsonValue {
  if (typeof value !== 'string') return value
  return Object.hasOwn(POLICY_KEYS, key) ? policyItems(key, value) : toList(value)
}

function coerceSettings(raw: RawSettings, type: IndexValue['type']): Record<string, JsonValue> {
  const known = type === 'stage' ? STAGE_KEYS : MIRROR_KEYS
  const settings: Record<string, JsonValue> = {}
  const unknown: [string, JsonValue][] = []
  const faults: string[] = []
  for (const [key, value] of Object.entries(raw)) {
    if (IGNORED.has(key) || (type === 'mirror' && IGNORED_ON_MIRRORS.has(key))) continue
    const coerce = Object.hasOwn(known, key) ? known[key] : undefined
    if (coerce === undefined) {
      unknown.push([key, value])
    } else if (value === null && !ALWAYS_SET.has(key)) {
      settings[key] = null
    } else {
      try {
        settings[key] = coerce(value, key)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        faults.push(error.message)
      }
    }
  }
  if (unknown.length > 0) throw unknownKeys(unknown)
  if (faults.length > 0) throw new Refusal('invalid', faults.join(', '))
  return settings
}

function unknownKeys(unknown: readonly (readonly [string, JsonValue])[]): Refusal {
  const list = unknown.map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return new Refusal('invalid', `indexconfig got unexpected keyword arguments: ${list.join(', ')}`)
}

/** Fills in the defaults. Every value was coerced before, and `acl_upload` is never taken away. */
function stageValue(settings: Readonly<Record<string, JsonValue>>): StageIndexValue {
  const value: Record<string, JsonValue> = {
    type: 'stage',
    volatile: true,
    acl_toxresult_upload: [':ANONYMOUS:'],
    bases: [],
    mirror_whitelist: [],
    mirror_whitelist_inheritance: 'intersection',
    ...withoutNulls(settings),
  }
  return value as typeof value & StageIndexValue
}

function mirrorValue(settings: Readonly<Record<string, JsonValue>>): MirrorIndexValue {
  const value: Record<string, JsonValue> = { type: 'mirror', volatile: true, ...withoutNulls(settings) }
  return value as typeof value & MirrorIndexValue
}

function withoutNulls(settings: Readonly<Record<string, JsonValue>>): Record<string, JsonValue> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null))
}

function asGiven(value: JsonValue): JsonValue {
  return value
}

function toBoolean(value: JsonValue): boolean {
  if (typeof value === 'boolean') return value
  const text = typeof value === 'string' ? value.toLowerCase() : undefined
  if (text === 'true' || text === 'yes') return true
  if (text === 'false' || text === 'no') return false
  throw new Refusal('invalid', `Unknown boolean value ${quoted(value)}.`)
}

function toList(value: JsonValue): string[] {
  if (typeof value === 'string') {
    return value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  }
  if (!isStrings(value)) throw new Refusal('invalid', `Unknown list value ${quoted(value)}.`)
  return [...value]
}

function toAclList(value: JsonValue, key: string): string[] {
  const list = toList(value).map((item) => (/^:(anonymous|authenticated):$/i.test(item) ? item.toUpperCase() : item))
  if (list.filter((item) => groupNamed(item) !== undefined).length <= MOST_GROUPS) return list
  throw new Refusal('invalid', `${key} may name ${MOST_GROUPS} groups at most`) // each is looked up for each request
}

/** Spelled `user/index`; whether they exist is the command's question. */
function toBases(value: JsonValue): string[] {
  return toList(value).map((item) => {
    const spec = item.replace(/^\/+|\/+$/g, '')
    if (!/^[^/\0]+\/[^/\0]+$/.test(spec) || !spec.isWellFormed()) throw new Refusal('invalid', `invalid base index spec: '${item.slice(0, 200)}'`)
    return spec
  })
}

function toInheritance(value: JsonValue): string {
  const text = typeof value === 'string' ? value.toLowerCase() : undefined
  if (text === 'intersection' || text === 'union') return text
  throw new Refusal(
    'invalid',
    `Unknown value ${quoted(value)} for mirror_whitelist_inheritance, must be 'intersection' or 'union'.`,
  )
}

function toUrl(value: JsonValue, key: string): string {
  if (typeof value === 'string' && /^https?:\/\/[^\s]+$/.test(value) && URL.canParse(value)) return value
  throw new Refusal('invalid', `'${key}' option must be a URL.`)
}

function toUrls(value: JsonValue, key: string): string[] {
  const urls = toList(value).map((item) => toUrl(item, key))
  if (urls.length <= MOST_FALLBACKS) return urls
  throw new Refusal('invalid', `'${key}' option may name ${MOST_FALLBACKS} upstreams at most`)
}

function toText(value: JsonValue, key: string): string {
  if (typeof value === 'string') return value
  throw new Refusal('invalid', `'${key}' option must be a string`)
}

function toSeconds(value: JsonValue, key: string): number {
  const number = typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number
  throw new Refusal('invalid', `'${key}' option must be an integer`)
}

function isStrings(value: JsonValue): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** Texts in single quotes as the messages of the API have them, other values as JSON. */
function quoted(value: JsonValue): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value)
}
