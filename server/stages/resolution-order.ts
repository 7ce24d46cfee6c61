import { keys } from '#log-format/keys.js'
import type { IndexValue } from '#log-format/values.js'
import type { IndexRef } from '#server/commands/lookups.js'
import type { Reader } from '#server/storage/reader.js'

export interface IndexInOrder extends IndexRef {
  readonly value: IndexValue
}

export interface ResolutionOrder {
  /** The index itself, then its bases breadth-first, mirrors last, each once. */
  readonly indexes: readonly IndexInOrder[]
  /** Everything that was looked at, also bases that do not exist: a change of any may change the order. */
  readonly visited: readonly IndexRef[]
}

/** In which order indexes answer for `start`. Bases that are gone are passed over; cycles are legal and harmless. */
export async function resolutionOrder(reader: Reader, start: IndexInOrder): Promise<ResolutionOrder> {
  const seen = new Set<string>([`${start.user}/${start.index}`])
  const visited: IndexRef[] = []
  const stages: IndexInOrder[] = []
  const mirrors: IndexInOrder[] = []
  let level: readonly IndexInOrder[] = [start]
  while (level.length > 0) {
    const next: IndexInOrder[] = []
    for (const found of level) {
      visited.push({ user: found.user, index: found.index })
      if (found.value.type === 'mirror') {
        mirrors.push(found)
        continue
      }
      stages.push(found)
      for (const base of found.value.bases) {
        if (seen.has(base)) continue
        seen.add(base)
        const [user = '', index = ''] = base.split('/')
        const value = await reader.get(keys.index({ user, index }))
        if (value === undefined) visited.push({ user, index })
        else next.push({ user, index, value })
      }
    }
    level = next
  }
  return { indexes: [...stages, ...mirrors], visited }
}
