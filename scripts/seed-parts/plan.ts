import { crc32 } from 'node:zlib'
import type { RawSettings } from '#server/commands/index-settings.js'
import type { IndexRef, ProjectRef } from '#server/commands/lookups.js'
import { Random } from '#test/support/random.js'

/** How much there is to be: indexes of each user, projects on each index, versions of each project there. */
export interface SeedSize {
  readonly users: number
  readonly indexes: number
  readonly projects: number
  readonly versions: number
}

export interface PlannedIndex extends IndexRef {
  readonly settings: RawSettings
}

export interface PlannedRelease extends IndexRef {
  /** In normal form. */
  readonly project: string
  readonly version: string
  /** Headers of the core metadata beside name and version. */
  readonly metadata: Readonly<Record<string, string | readonly string[]>>
}

/**
 * What a seed and a size stand for. The same seed plans the same, and with a
 * greater size all of that and more, so that a folder can be filled further.
 * User names carry the seed: what different seeds plan does not overlap.
 */
export class SeedPlan {
  readonly size: SeedSize
  readonly users: readonly string[]
  readonly #seed: number

  constructor(seed: number, size: SeedSize) {
    this.#seed = seed
    this.size = size
    this.users = Array.from({ length: size.users }, (_, at) => `${numbered(USERS, at)}-s${seed}`)
  }

  /** Bases come before what inherits from them: each index from the one before, a user's first from the first of all. */
  *indexes(): Generator<PlannedIndex> {
    for (const user of this.users) {
      for (let level = 0; level < this.size.indexes; level += 1) {
        const shared = user === this.users[0] ? [] : [`${this.users[0]}/${indexAt(0)}`]
        const bases = level === 0 ? shared : [`${user}/${indexAt(level - 1)}`]
        yield { user, index: indexAt(level), settings: { bases, volatile: level > 0 } }
      }
    }
  }

  /** A user's indexes hold the same projects, each in newer versions than its base. */
  *releases(): Generator<PlannedRelease> {
    for (const user of this.users) {
      for (let level = 0; level < this.size.indexes; level += 1) {
        for (let at = 0; at < this.size.projects; at += 1) yield* this.#project(user, level, at)
      }
    }
  }

  /** A project on the last index of its user's chain. */
  get sample(): ProjectRef {
    return { user: this.users[0] ?? '', index: indexAt(this.size.indexes - 1), project: projectAt(0) }
  }

  get releaseCount(): number {
    return this.size.users * this.size.indexes * this.size.projects * this.size.versions
  }

  *#project(user: string, level: number, at: number): Generator<PlannedRelease> {
    const project = projectAt(at)
    const random = new Random(crc32(Buffer.from(`${this.#seed} ${user} ${project}`)))
    // What is required has a lower number, and so is on the index whatever the size is.
    const requires = at > 0 && random.below(2) === 0 ? [`${projectAt(random.below(at))}>=1.0`] : []
    const topic = random.pick(TOPICS)
    for (let number = 0; number < this.size.versions; number += 1) {
      yield {
        user,
        index: indexAt(level),
        project,
        version: versionAt(level, number),
        metadata: {
          Summary: `A made-up project about ${topic}`,
          Author: user,
          License: random.pick(LICENSES),
          Keywords: `made-up,${topic}`,
          Classifier: ['Programming Language :: Python :: 3', `Topic :: ${topic}`],
          'Requires-Python': random.pick(['>=3.6', '>=3.8']),
          ...(requires.length > 0 && { 'Requires-Dist': requires }),
        },
      }
    }
  }
}

const USERS = ['ada', 'blaise', 'clara', 'dennis', 'edsger', 'frances', 'grace', 'hedy', 'ivan', 'joan', 'konrad', 'lynn']
const INDEXES = ['stable', 'testing', 'dev']
const ADJECTIVES = ['amber', 'brisk', 'calm', 'dusty', 'eager', 'faint', 'gentle', 'hollow', 'idle', 'jolly', 'keen', 'lucid', 'mellow', 'nimble', 'odd', 'plain']
const NOUNS = ['anchor', 'beacon', 'canyon', 'drum', 'ember', 'ferry', 'garden', 'harbor', 'island', 'jigsaw', 'kettle', 'lantern', 'meadow', 'needle', 'orchard', 'pebble', 'quarry']
const TOPICS = ['boats', 'clocks', 'maps', 'music', 'tea', 'weather']
const LICENSES = ['MIT', 'BSD-3-Clause', 'Apache-2.0']

function indexAt(level: number): string {
  return INDEXES[level] ?? `dev-${level}`
}

/** The lists have no common divisor, so going through both at once meets every pair. */
function projectAt(at: number): string {
  const pair = `${item(ADJECTIVES, at)}-${item(NOUNS, at)}`
  const round = Math.floor(at / (ADJECTIVES.length * NOUNS.length))
  return round === 0 ? pair : `${pair}-${round + 1}`
}

/** 1.0.0, 1.0.1 and so on for the first index of a chain, 2.0.0 and so on for the next; every seventh is a candidate. */
function versionAt(level: number, number: number): string {
  return `${level + 1}.${Math.floor(number / 10)}.${number % 10}${number % 7 === 6 ? 'rc1' : ''}`
}

function numbered(names: readonly string[], at: number): string {
  const round = Math.floor(at / names.length)
  return `${item(names, at)}${round === 0 ? '' : round + 1}`
}

function item(items: readonly string[], at: number): string {
  return items[at % items.length] ?? ''
}
