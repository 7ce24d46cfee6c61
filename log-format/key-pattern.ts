import type { JsonValue } from './values.js'

/** Names of the `{parameters}` in a pattern. */
type ParamNames<P extends string> = P extends `${string}{${infer Name}}${infer Rest}` ? Name | ParamNames<Rest> : never

export type KeyParams<P extends string> = { readonly [Name in ParamNames<P>]: string }

/** Brings the value type along without holding a value. */
declare const valueType: unique symbol

/** One keyfs key: its catalogue name, its path as logged, and its parameters in the order of the pattern. */
export interface Key<V> {
  readonly family: string
  readonly path: string
  readonly segments: readonly string[]
  readonly [valueType]?: V
}

/** All keys of a family whose first parameters are `segments`, in the byte order of the next ones. */
export interface KeyRange<V> {
  readonly family: string
  readonly segments: readonly string[]
  readonly [valueType]?: V
}

/** A change as a fold sees it: the value before it from the keyspace, the one after it from the entry. */
export interface ObservedChange {
  readonly family: string
  readonly segments: readonly string[]
  readonly before: JsonValue | undefined
  readonly after: JsonValue | undefined
}

export interface KeyMatch<P extends string, V> {
  readonly params: KeyParams<P>
  readonly before: V | undefined
  readonly after: V | undefined
}

export interface KeyPattern<P extends string, V> {
  /** The key with these parameters. Throws a RangeError for a parameter that cannot stand in a path. */
  (params: KeyParams<P>): Key<V>
  readonly family: string
  readonly pattern: P
  /** How many parts its paths have. */
  readonly parts: number
  /** Parameter names in order. */
  readonly names: readonly string[]
  /** All keys that share the parameters given, which are the first ones of the pattern, in order. */
  under(...segments: readonly string[]): KeyRange<V>
  /** Parameters by name, from a key's segments. */
  params(segments: readonly string[]): KeyParams<P>
  /** The parameters and both values, when the change is of this family. */
  match(change: ObservedChange): KeyMatch<P, V> | undefined
  /** Segments of the parameters, when `path` has the form of this pattern. */
  parse(parts: readonly string[]): string[] | undefined
}

/** Declares a family of keys: `definePattern<UserValue>()('user', '{user}/.config')`. */
export function definePattern<V>() {
  return <P extends string>(family: string, pattern: P): KeyPattern<P, V> => {
    const parts = pattern.split('/')
    const names = parts.filter((part) => part.startsWith('{')).map((part) => part.slice(1, -1))

    const build = (params: KeyParams<P>): Key<V> => {
      const byName: Readonly<Record<string, string>> = params
      const segments = names.map((name) => checkedSegment(family, name, byName[name]))
      let next = 0
      const path = parts.map((part) => (part.startsWith('{') ? segments[next++] : part)).join('/')
      return { family, path, segments }
    }

    const paramsOf = (segments: readonly string[]): KeyParams<P> =>
      Object.fromEntries(names.map((name, at) => [name, segments[at] ?? ''])) as KeyParams<P>

    return Object.assign(build, {
      family,
      pattern,
      parts: parts.length,
      names,
      under: (...segments: readonly string[]): KeyRange<V> => ({ family, segments }),
      params: paramsOf,
      match: (change: ObservedChange): KeyMatch<P, V> | undefined =>
        change.family === family
          ? {
              params: paramsOf(change.segments),
              before: change.before as V | undefined,
              after: change.after as V | undefined,
            }
          : undefined,
      parse: (candidate: readonly string[]): string[] | undefined => {
        if (candidate.length !== parts.length) return undefined
        const segments: string[] = []
        for (let at = 0; at < parts.length; at += 1) {
          const part = parts[at] ?? ''
          const found = candidate[at]
          if (found === undefined || found === '') return undefined
          if (part.startsWith('{')) segments.push(found)
          else if (part !== found) return undefined
        }
        return segments
      },
    })
  }
}

/** Refusing a bad name with a sentence is the business of whoever took it from outside; here it is a fault. */
function checkedSegment(family: string, name: string, value: string | undefined): string {
  if (value === undefined || value === '' || value.includes('/') || value.includes('\0') || !value.isWellFormed()) {
    throw new RangeError(`${JSON.stringify(value)} cannot be the ${name} of a ${family} key`)
  }
  return value
}
