import { parseSpecifiers } from '#log-format/specifiers.js'
import { Failure } from './failure.js'

/** Which versions of a project are meant (PEP 508 without extras and markers). Pre-releases always count. */
export interface Requirement {
  readonly project: string
  /** Whether any version is ruled out. */
  readonly isBare: boolean
  matches(version: string): boolean
}

const REQUIREMENT = /^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(.*)$/s

/** Reads `kite`, `kite==1.0`, `kite>=1,<2`. Fails for everything else. */
export function parseRequirement(text: string): Requirement {
  const [, project = '', rest = ''] = REQUIREMENT.exec(text) ?? []
  const specifiers = parseSpecifiers(rest.trim().replace(/^\((.*)\)$/s, '$1'))
  if (project === '' || specifiers === undefined) throw new Failure('CONFIG', `'${text}' is no requirement such as name, name==1.0 or name>=1,<2`)
  return { project, isBare: specifiers.isEmpty, matches: (version) => specifiers.matches(version) }
}

/** The normal form of a project name (PEP 503). */
export function normalizeName(name: string): string {
  return name.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase()
}
