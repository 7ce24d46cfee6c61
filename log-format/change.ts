import type { JsonValue } from './values.js'

/** One key that a transaction set, or deleted when `value` is undefined. `path` is a keyfs path, see `keys.ts`. */
export interface Change {
  readonly path: string
  readonly value: JsonValue | undefined
}
