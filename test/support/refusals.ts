import { Refusal, type RefusalKind } from '#log-format/api/refusal.js'

/** Whether something thrown is a refusal, of the kind when one is given. */
export function isRefusal(thrown: unknown, kind?: RefusalKind): thrown is Refusal {
  return thrown instanceof Refusal && (kind === undefined || thrown.kind === kind)
}
