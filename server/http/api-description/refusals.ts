import type { RefusalKind } from '#log-format/api/refusal.js'
import { type Operation, parametersOf, type Refusals } from './description.js'

/** What an operation may be refused for: what all of its kind share, and its own. */
export function refusalsOf(operation: Operation): readonly (readonly [RefusalKind, string])[] {
  const { asks, body, path, changes, refuses = {} } = operation
  const shared: Refusals = {
    ...('noRight' in asks
      ? {}
      : {
          unauthenticated: 'Nobody is logged in, or the credentials are wrong.',
          forbidden: 'Who is logged in may not do this.',
          'too-many-requests': 'Too many passwords failed or are being checked; `Retry-After` says when to try again.',
        }),
    ...(parametersOf(path).length > 0 && { 'not-found': 'What the address names is not there.' }),
    ...(body !== undefined && { invalid: 'The body is not what is described here.', 'too-large': 'The body is larger than this route takes.' }),
    ...(changes && { 'too-large': 'The body is larger than this route takes, or the change than one entry of the log.', 'storage-full': 'The disk is nearly full.' }),
  }
  const all = { ...shared, ...refuses }
  return (Object.keys(all) as RefusalKind[]).map((kind) => [kind, all[kind] ?? ''] as const)
}
