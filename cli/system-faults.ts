import { Failure } from './failure.js'

/** What keeps files from being read or written, in words. */
const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is used up',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is no folder',
  ENAMETOOLONG: 'its name is too long',
  EMFILE: 'too many files are open',
  ELOOP: 'its links go in circles',
}
const FULL = ['ENOSPC', 'EDQUOT']

/** Why the system refused, as a person would say it; its code for what is rare. */
export function systemReason(error: unknown): string {
  const code = codeOf(error)
  return code === undefined ? 'unknown fault' : (WORDS[code] ?? code)
}

export function isDiskFull(error: unknown): boolean {
  return FULL.includes(codeOf(error) ?? '')
}

/** The failure behind a refusal of the system that no command expected; undefined for anything else. */
export function systemFailure(error: unknown): Failure | undefined {
  const code = codeOf(error)
  if (code === undefined || !(code in WORDS)) return undefined
  const path = textAt(error, 'dest') ?? textAt(error, 'path')
  const hint = isDiskFull(error) ? 'make room, or set TMPDIR to a folder on another disk' : undefined
  return new Failure('CONFIG', path === undefined ? systemReason(error) : `${path}: ${systemReason(error)}`, { cause: error, hint })
}

export function codeOf(error: unknown): string | undefined {
  return textAt(error, 'code')
}

function textAt(error: unknown, key: 'code' | 'dest' | 'path'): string | undefined {
  const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, key) : undefined
  return typeof value === 'string' ? value : undefined
}
