import { FormatError } from './errors.js'

/**
 * Lifts the fields of an entry of any version ever written to those of today.
 * There is one version so far. A new one adds a step here and keeps the old
 * ones for ever; `vectors/` holds entries of every version.
 */
export function liftFields(version: number, fields: unknown): readonly unknown[] {
  if (version !== 1) throw new FormatError(`entry version ${version} is not known to this release`, 'byte 0')
  if (!Array.isArray(fields)) throw new FormatError('an entry is not an array', 'byte 1')
  return fields
}
