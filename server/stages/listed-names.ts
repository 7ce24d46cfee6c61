import { keys } from '#log-format/keys.js'
import { indexName } from '#server/commands/lookups.js'
import { mirrorsAreOpen } from './inherited-stage.js'
import type { OpenStage } from './open-stage.js'
import type { IndexInOrder } from './resolution-order.js'

/** What upstreams list, by index: opens the names, sorted and in batches. */
export type UpstreamNames = ReadonlyMap<string, () => AsyncGenerator<readonly string[]>>

/** Names handed on at a time. */
const BATCH = 1000

/** Names of all projects that a stage has pages of, each once, sorted, in batches. */
export async function* listedNames(stage: OpenStage, upstreams: UpstreamNames): AsyncGenerator<readonly string[]> {
  const walks = stage.all.flatMap((found) => {
    const listed = upstreams.get(indexName(found))?.()
    return [new NameWalk(found, namesOf(stage, found)), ...(listed === undefined ? [] : [new NameWalk(found, listed)])]
  })
  try {
    yield* merged(stage, walks)
  } finally {
    await Promise.all(walks.map((walk) => walk.close()))
  }
}

/** The same one by one, of what the log knows alone. */
export async function* knownNames(stage: OpenStage): AsyncGenerator<string> {
  for await (const names of listedNames(stage, new Map())) yield* names
}

async function* merged(stage: OpenStage, walks: readonly NameWalk[]): AsyncGenerator<readonly string[]> {
  let batch: string[] = []
  for (;;) {
    for (const walk of walks) if (walk.isEmpty) await walk.fill()
    const least = leastOf(walks)
    if (least === undefined) break
    if (isListed(stage, least, walks)) batch.push(least)
    for (const walk of walks) if (walk.head === least) walk.step()
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  yield batch
}

/** Names of one index, of which the first is at hand. */
class NameWalk {
  readonly index: IndexInOrder
  readonly #batches: AsyncGenerator<readonly string[]>
  #names: readonly string[] = []
  #at = 0
  #isOver = false

  constructor(index: IndexInOrder, batches: AsyncGenerator<readonly string[]>) {
    this.index = index
    this.#batches = batches
  }

  get head(): string | undefined {
    return this.#names[this.#at]
  }

  get isEmpty(): boolean {
    return this.#at >= this.#names.length && !this.#isOver
  }

  step(): void {
    this.#at += 1
  }

  async fill(): Promise<void> {
    while (this.isEmpty) {
      const next = await this.#batches.next()
      this.#at = 0
      this.#names = next.done === true ? [] : next.value
      this.#isOver = next.done === true
    }
  }

  async close(): Promise<void> {
    await this.#batches.return(undefined)
  }
}

function leastOf(walks: readonly NameWalk[]): string | undefined {
  let least: string | undefined
  for (const { head } of walks) if (head !== undefined && (least === undefined || head < least)) least = head
  return least
}

/** Whether the stage has a page of the name that some of its indexes have. */
function isListed(stage: OpenStage, name: string, walks: readonly NameWalk[]): boolean {
  const having = walks.filter(({ head }) => head === name).map(({ index }) => index)
  const readable = having.filter((found) => stage.order.includes(found))
  if (readable.some(({ value }) => value.type === 'stage')) return true
  return readable.length > 0 && (having.length === readable.length || mirrorsAreOpen(stage, name, having))
}

/** What the log knows the index to have. */
async function* namesOf({ reader }: OpenStage, { user, index }: IndexInOrder): AsyncGenerator<readonly string[]> {
  for await (const batch of reader.scanBatches(keys.project.under(user, index), () => undefined)) yield batch.map(({ segments }) => segments[2] ?? '')
}
