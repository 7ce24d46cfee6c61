import type { MirrorIndexValue, StageIndexValue } from '#log-format/values.js'
import { mirrorsAreOpen } from '#server/stages/inherited-stage.js'
import type { IndexInOrder } from '#server/stages/resolution-order.js'

const MIRROR: MirrorIndexValue = { type: 'mirror', created: 1, volatile: true }

function stage(whitelist: readonly string[], inheritance: 'intersection' | 'union' = 'intersection'): StageIndexValue {
  return { type: 'stage', created: 1, volatile: true, acl_upload: [], bases: [], mirror_whitelist: whitelist, mirror_whitelist_inheritance: inheritance }
}

/** Whitelists of private indexes in resolution order, which of them have `demo`, and whether a mirror may add to it. */
const CASES: readonly (readonly [string, readonly (readonly string[])[], readonly number[], 'intersection' | 'union', boolean])[] = [
  ['nobody has it', [[], []], [], 'intersection', true],
  ['the index has it', [[], []], [0], 'intersection', false],
  ['a base has it', [[], []], [1], 'intersection', false],
  ['another project is opened', [['other'], ['other']], [1], 'intersection', false],
  ['the index opens it', [['demo'], []], [1], 'intersection', true],
  ['the index has it and opens it', [['demo'], []], [0], 'intersection', true],
  ['the index opens all', [['*'], []], [0, 1], 'intersection', true],
  ['only the base opens it', [[], ['demo']], [1], 'intersection', false],
  ['only the base opens it, by union', [[], ['demo']], [1], 'union', true],
  ['only the base opens it, and the index has it, by union', [[], ['demo']], [0], 'union', true],
  ['only the last base opens all', [[], [], ['*']], [0], 'intersection', false],
]

test.each(CASES)('%s', (_name, whitelists, having, inheritance, wanted) => {
  const stages: IndexInOrder[] = whitelists.map((whitelist, at) => ({ user: 'alice', index: `i${at}`, value: stage(whitelist, inheritance) }))
  const all = [...stages, { user: 'root', index: 'pypi', value: MIRROR }]
  const value = stages[0]?.value ?? MIRROR
  expect(mirrorsAreOpen({ all, value }, 'demo', all.filter((_, at) => having.includes(at)))).toBe(wanted)
})

test('what the mirror itself has makes no name private', () => {
  const all: IndexInOrder[] = [{ user: 'alice', index: 'dev', value: stage([]) }, { user: 'root', index: 'pypi', value: MIRROR }]
  expect(mirrorsAreOpen({ all, value: stage([]) }, 'demo', all.slice(1))).toBe(true)
  expect(mirrorsAreOpen({ all: all.slice(1), value: MIRROR }, 'demo', all.slice(1))).toBe(true)
})
