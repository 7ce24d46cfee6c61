import { Refusal } from '#log-format/api/refusal.js'

/** Indexes of which files are not fetched until somebody asks for them. */
export type SkippedIndexes =
  | 'all'
  | {
      /** `user/index`. */
      readonly indexes: ReadonlySet<string>
      /** `stage`, `mirror`. */
      readonly types: ReadonlySet<string>
    }

const TYPES: readonly string[] = ['stage', 'mirror']

/** Reads `all`, or names and types of indexes with commas between them. Refuses `invalid` what is neither. */
export function parseSkippedIndexes(text: string): SkippedIndexes {
  const words = text.split(',').map((word) => word.trim()).filter((word) => word !== '')
  if (words.includes('all')) {
    if (words.length > 1) throw new Refusal('invalid', 'all leaves nothing for other names beside it')
    return 'all'
  }
  const isName = (word: string): boolean => /^[^/\s]+\/[^/\s]+$/.test(word)
  for (const word of words) {
    if (!isName(word) && !TYPES.includes(word)) throw new Refusal('invalid', `${word} is neither all, nor the name of an index (user/index), nor a type (${TYPES.join(', ')})`)
  }
  return { indexes: new Set(words.filter(isName)), types: new Set(words.filter((word) => !isName(word))) }
}

/** The same text for the same indexes. */
export function formatSkippedIndexes(skipped: SkippedIndexes): string {
  return skipped === 'all' ? 'all' : [...skipped.indexes, ...skipped.types].sort().join(',')
}
