import type { ChangeJson } from '#log-format/api/changes.js'
import { type EntryHead, readEntryHead } from '#log-format/entry-slices.js'
import { nextSerial, type Serial } from '#log-format/serial.js'
import type { Caller } from '#server/auth/caller.js'
import { type ChangeFilter, isAbout, serialsAbout } from '#server/projections/changes.js'
import type { StoredEntry } from '#server/storage/entry-store.js'
import type { Storage } from '#server/storage/storage.js'
import { ChangeReader } from './change-reader.js'

/** Entries looked at for one page, whether they are shown or not, and their bytes: what a request may cost. */
const MOST_ENTRIES = 2000
const MOST_BYTES = 8 * 1024 * 1024
/** Neighbouring serials that are read in one go. */
const MOST_IN_A_RUN = 100

export interface ChangesInput {
  /** The newest serial that was seen already. */
  readonly since: Serial
  /** Mutations on a page at most. */
  readonly limit: number
  readonly filter: ChangeFilter
}

/** Some mutations, oldest first, and how far the log was looked at to find them. */
export interface ChangesPage {
  readonly changes: readonly ChangeJson[]
  /** Everything up to here that the caller may read has been shown. */
  readonly next: Serial
  /** The head when the page was read. */
  readonly head: Serial
}

/**
 * The mutations after a serial that the caller may read now. A page may end
 * early, even empty, so that no request costs more than a bounded part of the
 * log: there is more while `next` is below `head`.
 */
export async function readChanges(storage: Storage, caller: Caller, input: ChangesInput): Promise<ChangesPage> {
  const { since, limit, filter } = input
  const head = storage.head.serial
  const reader = await ChangeReader.open({ current: storage.reader(), readerAt: (serial) => storage.reader(serial), caller })
  const changes: ChangeJson[] = []
  let looked = 0
  let bytes = 0
  for await (const stored of candidates(storage, input, head)) {
    const entry = readEntryHead(stored.bytes)
    const shown = isAbout(entry.mutation, filter) ? await reader.show(entry) : undefined
    if (shown !== undefined) changes.push(changeJson(entry, shown))
    looked += 1
    bytes += stored.bytes.length
    if (changes.length >= limit || looked >= MOST_ENTRIES || bytes >= MOST_BYTES) return { changes, next: stored.serial, head }
  }
  return { changes, next: since > head ? since : head, head }
}

/** The entries after `since` and up to the head among which those that the filter lets through are. */
async function* candidates(storage: Storage, { since, filter }: ChangesInput, head: Serial): AsyncGenerator<StoredEntry> {
  if (since >= head) return
  const serials = serialsAbout(storage, filter, nextSerial(since))
  if (serials === undefined) {
    for await (const stored of storage.entries.read(nextSerial(since), nextSerial(head))) yield* stored
    return
  }
  for await (const [first, last] of runsOf(serials, head)) {
    for await (const stored of storage.entries.read(first, nextSerial(last))) yield* stored
  }
}

/** Gathers serials that follow each other: a release is often uploaded in one go, and a range is one read. */
async function* runsOf(serials: AsyncIterable<Serial>, head: Serial): AsyncGenerator<readonly [Serial, Serial]> {
  let run: [Serial, Serial] | undefined
  for await (const serial of serials) {
    if (serial > head) break
    if (run !== undefined && serial === nextSerial(run[1]) && serial - run[0] < MOST_IN_A_RUN) {
      run[1] = serial
      continue
    }
    if (run !== undefined) yield run
    run = [serial, serial]
  }
  if (run !== undefined) yield run
}

function changeJson({ serial, time, actor }: EntryHead, mutation: ChangeJson['mutation']): ChangeJson {
  return { serial, time: new Date(time).toISOString(), actor, mutation }
}
