import { Refusal } from '#log-format/api/refusal.js'

/** Of a name that a project may have, in characters. */
export const LONGEST_PROJECT_NAME = 255

/**
 * The normal form under which a project is stored and found: PEP 503,
 * extended so that every character outside ASCII letters and digits separates
 * words. Applied to any text, also one that no project may have as its name.
 */
export function normalizeProjectName(name: string): string {
  return name.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase()
}

/** Whether the text is its own normal form, so that a request for it needs no redirect. It need not be a legal name. */
export function isNormalProjectName(name: string): boolean {
  return name !== '' && normalizeProjectName(name) === name
}

/**
 * The normal form of a name that a project may have (PEP 508). Refuses
 * `invalid` otherwise. What is legal cannot meet a route: reserved path
 * segments start with `+`, a project name with a letter or digit.
 */
export function checkProjectName(name: string): string {
  const fault = projectNameFault(name)
  if (fault !== undefined) throw new Refusal('invalid', fault)
  return normalizeProjectName(name)
}

/** Why no project may have this name, as a sentence; `undefined` when one may. */
export function projectNameFault(name: string): string | undefined {
  if (name === '') return 'Missing required field "name"'
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    return 'Invalid package name. Names must contain only ASCII letters, digits, underscores, hyphens, and periods'
  }
  if (!/^[A-Za-z0-9]/.test(name)) return 'Invalid package name. Names must start with an ASCII letter or digit'
  if (!/[A-Za-z0-9]$/.test(name)) return 'Invalid package name. Names must end with an ASCII letter or digit'
  if (name.length > LONGEST_PROJECT_NAME) return `Invalid package name. Names must have at most ${LONGEST_PROJECT_NAME} characters`
  return undefined
}
