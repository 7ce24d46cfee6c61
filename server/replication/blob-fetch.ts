import { setTimeout as wait } from 'node:timers/promises'
import type { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { nextSerial, NO_SERIAL, type Serial, toSerial } from '#log-format/serial.js'
import { isBlobKept, lastNamed } from '#server/projections/blob-references.js'
import type { BlobStore } from '#server/storage/blob-store.js'
import type { StoredEntry } from '#server/storage/entry-store.js'
import type { PartialBlobs } from '#server/storage/partial-blobs.js'
import type { Storage } from '#server/storage/storage.js'
import type { BlobBacklog, MissingBlob } from './blob-backlog.js'
import { type BlobFetches, refusalOf } from './blob-fetches.js'
import { Lanes } from './lanes.js'
import { type NamedBlob, namedBlobs } from './named-blobs.js'
import { LONGEST_REST_MS, NextTry } from './next-try.js'
import { type BackOff, delayMs, SharedPause } from './shared-pause.js'
import { formatSkippedIndexes, type SkippedIndexes } from './skip-indexes.js'

export interface BlobFetchInput {
  readonly storage: Storage
  readonly blobs: Pick<BlobStore, 'stat'>
  readonly partials: PartialBlobs
  readonly fetches: BlobFetches
  readonly backlog: BlobBacklog
  /** Contents fetched at the same time. */
  readonly threads: number
  readonly skipped: SkippedIndexes
  /** How long a content is wanted after its last link went; `Infinity`: for ever. */
  readonly undoWindowMs: number
  /** ms since the epoch. */
  readonly now: () => number
  /** From 0 up to, not including, 1. */
  readonly random?: () => number
  readonly onFault: (fault: unknown) => void
  /** After a failure of one content. */
  readonly retry?: BackOff
  /** While no other node is there, or the disk is full. */
  readonly pause?: BackOff
}

/** How the fetching does. Times are ms since the epoch. */
export interface BlobFetchStatus {
  /** Entries of the log that nobody looked through for contents yet, and contents that are being fetched. */
  readonly queued: number
  /** Contents that could not be had so far. */
  readonly failed: number
  /** When everything was here last that the log named; undefined if it never was since the start. */
  readonly inSyncAt: number | undefined
  /** Why nothing is fetched just now, in a sentence. */
  readonly paused: string | undefined
}

const CURSOR = 'blob-fetch'
const SKIPPED_NOTE = 'blob-fetch-skipped'
const RETRY: BackOff = { firstMs: 5000, longestMs: 60 * 60 * 1000 }
const PAUSE: BackOff = { firstMs: 500, longestMs: 30_000 }
/** Entries looked through between two moves of the durable cursor. */
const ENTRIES_AT_A_TIME = 256
const ENTRIES_PER_MOVE = 1000
/** The rest after going through the backlog, for each content in it: about five times as long as it took to read. */
const REST_MS_EACH = 0.05

/**
 * Fetches the contents that entries name, with a cursor of its own: the log
 * waits for none of them, and none waits for another. Goes through the log
 * from its beginning, the oldest first, so that one number says what is done;
 * what somebody asks for is fetched at once by another way. A content that
 * cannot be had goes to the backlog, and is tried for ever.
 */
export class BlobFetch implements AsyncDisposable {
  readonly #input: BlobFetchInput
  readonly #stop = new AbortController()
  readonly #lanes: Lanes
  readonly #pause: SharedPause
  readonly #random: () => number
  /** Serials of entries that name what is being fetched. */
  readonly #fetching = new Map<symbol, Serial>()
  /** Up to this one, entries were looked through. */
  #seen: Serial = NO_SERIAL
  #moved: Serial = NO_SERIAL
  #inSyncAt: number | undefined
  #fetched = 0
  /** Of the backlog. */
  readonly #nextTry: NextTry
  readonly #waiting = new Set<() => void>()
  #running: Promise<unknown> = Promise.resolve()

  constructor(input: BlobFetchInput) {
    const { threads, pause = PAUSE, random = Math.random } = input
    this.#input = input
    this.#random = random
    this.#lanes = new Lanes(threads)
    this.#nextTry = new NextTry(input.now)
    this.#pause = new SharedPause({ backOff: pause, random, signal: this.#stop.signal })
  }

  /** Goes on where the last start left off; from the beginning when other indexes are skipped than then. */
  async start(): Promise<void> {
    const { storage, skipped, partials } = this.#input
    const skippedNow = formatSkippedIndexes(skipped)
    const before = storage.notes.get(SKIPPED_NOTE)
    if (before !== undefined && before !== skippedNow) await storage.moveCursor(CURSOR, NO_SERIAL)
    if (before !== skippedNow) await storage.notes.set(SKIPPED_NOTE, skippedNow)
    for (const sha256 of await partials.list()) if (!(await this.#isKept(sha256))) await partials.remove(sha256)
    this.#seen = this.#moved = storage.cursor(CURSOR)
    this.#running = Promise.all([this.#keepOn(() => this.#follow()), this.#keepOn(() => this.#retry())])
  }

  get status(): BlobFetchStatus {
    const { storage, backlog, now } = this.#input
    const queued = storage.head.serial - this.#seen + this.#fetching.size
    return { queued, failed: backlog.count, inSyncAt: this.#isInSync ? now() : this.#inSyncAt, paused: this.#pause.reason }
  }

  /** Resolves once `holds`, which is asked whenever something changed. */
  async until(holds: (status: BlobFetchStatus) => boolean): Promise<void> {
    while (!holds(this.status)) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
    await this.#lanes.idle()
    await this.#moveCursor()
  }

  get #isInSync(): boolean {
    const { storage, backlog } = this.#input
    return this.#seen !== NO_SERIAL && this.#seen === storage.head.serial && this.#fetching.size === 0 && backlog.count === 0
  }

  /** Runs for ever, whatever goes wrong in it. */
  async #keepOn(work: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop
    for (let faults = 1; !signal.aborted; faults += 1) {
      try {
        await work()
      } catch (fault) {
        if (signal.aborted) return
        this.#input.onFault(fault)
        await wait(delayMs(this.#input.retry ?? RETRY, faults, this.#random), undefined, { signal }).catch(() => undefined)
      }
    }
  }

  async #follow(): Promise<void> {
    const { storage, backlog, now } = this.#input
    const { signal } = this.#stop
    while (!signal.aborted) {
      for (const { serial, bytes } of await this.#nextEntries()) {
        for (const named of namedBlobs(bytes)) await this.#offer(named, serial)
        if (signal.aborted) return
        this.#seen = serial
        if (serial - this.#moved >= ENTRIES_PER_MOVE) await this.#moveCursor()
      }
      if (this.#seen < storage.head.serial) continue
      await this.#moveCursor()
      this.#changed()
      await storage.reached(nextSerial(this.#seen), signal)
      if (this.#seen !== NO_SERIAL && this.#fetching.size === 0 && backlog.count === 0) this.#inSyncAt = now() // up to this very moment
    }
  }

  /** Few enough to hold while the first of them is fetched, however long that takes. */
  async #nextEntries(): Promise<readonly StoredEntry[]> {
    const from = nextSerial(this.#seen)
    const found: StoredEntry[] = []
    for await (const entries of this.#input.storage.entries.read(from, toSerial(from + ENTRIES_AT_A_TIME))) found.push(...entries)
    return found
  }

  /** Resolves once the content is here, is not wanted, or has a lane. */
  async #offer(named: NamedBlob, serial: Serial): Promise<void> {
    const { blobs } = this.#input
    const { sha256, size, path } = named
    if (this.#stop.signal.aborted || (await blobs.stat(sha256)) !== undefined) return
    if ((await this.#isSkipped(named)) || !(await this.#isKept(sha256))) return
    const id = Symbol(sha256)
    this.#fetching.set(id, serial)
    await this.#lanes.start(async () => {
      try {
        await this.#fetch({ sha256, size, path })
      } catch (fault) {
        if (!this.#stop.signal.aborted) this.#input.onFault(fault)
        await this.#failed({ sha256, size, path }, 'this server failed to store it; its log says why').catch(this.#input.onFault)
      } finally {
        if (!this.#stop.signal.aborted) this.#fetching.delete(id) // what was cut off is fetched after the next start
        this.#changed()
      }
    })
  }

  /** Takes a content from wherever it is, pausing while it cannot be had for reasons of all. */
  async #fetch(wanted: Pick<MissingBlob, 'sha256' | 'size' | 'path'>): Promise<void> {
    const { storage, blobs, fetches, backlog, partials } = this.#input
    const { sha256, size } = wanted
    for (let fetchedBefore: number | undefined; ; ) {
      await this.#pause.over()
      if (this.#stop.signal.aborted) return
      const isHere = (await blobs.stat(sha256)) !== undefined
      if (isHere || !(await this.#isKept(sha256))) {
        if (!isHere) await partials.remove(sha256)
        await backlog.clear(sha256)
        return
      }
      const refusal = await refusalOf(fetches.of({ sha256, size }).whole(), this.#stop.signal)
      if (refusal === undefined) {
        if (this.#stop.signal.aborted) return
        this.#fetched += 1
        this.#pause.worked()
        return
      }
      if (refusal.kind === 'not-found' && (await lastNamed(storage, sha256)) !== 'now') {
        await backlog.clear(sha256) // the other node keeps what was removed no longer
        return
      }
      const othersWork = fetchedBefore !== undefined && fetchedBefore !== this.#fetched
      if (othersWork || !(await this.#isForAll(refusal))) {
        await this.#failed(wanted, refusal.message)
        return
      }
      fetchedBefore = this.#fetched
      const over = this.#pause.take(refusal.message)
      this.#changed()
      await over
    }
  }

  /** Whether no other content would do better. */
  async #isForAll({ kind }: Refusal): Promise<boolean> {
    return kind === 'not-available' || (kind === 'storage-full' && !(await this.#input.fetches.hasRoom()))
  }

  async #failed({ sha256, size, path }: Pick<MissingBlob, 'sha256' | 'size' | 'path'>, message: string): Promise<void> {
    const { backlog, now, retry = RETRY } = this.#input
    if (this.#stop.signal.aborted) return
    const failures = backlog.failuresOf(sha256) + 1
    const due = now() + delayMs(retry, failures, this.#random)
    await backlog.add({ sha256, size, path, failures, message, due })
    this.#nextTry.by(due)
  }

  /** Goes through the backlog whenever something in it is due; if it is long, not all the time. */
  async #retry(): Promise<void> {
    const { backlog, now } = this.#input
    const { signal } = this.#stop
    while (!signal.aborted) {
      const begun = now()
      this.#nextTry.forget()
      for await (const missing of backlog.all()) {
        if (signal.aborted) return
        if (missing.due > begun) this.#nextTry.by(missing.due)
        else await this.#again(missing)
      }
      await this.#nextTry.rest(Math.min(Math.max(REST_MS_EACH * backlog.count, 1), LONGEST_REST_MS), signal)
    }
  }

  async #again(missing: MissingBlob): Promise<void> {
    await this.#lanes.start(async () => {
      try {
        await this.#fetch(missing)
      } catch (fault) {
        this.#input.onFault(fault)
        await this.#failed(missing, 'this server failed to store it; its log says why').catch(this.#input.onFault)
      } finally {
        this.#changed()
      }
    })
  }

  async #isKept(sha256: string): Promise<boolean> {
    const { storage, undoWindowMs, now } = this.#input
    return isBlobKept(storage, sha256, now() - undoWindowMs)
  }

  async #isSkipped({ user, index }: NamedBlob): Promise<boolean> {
    const { skipped, storage } = this.#input
    if (skipped === 'all' || skipped.indexes.has(`${user}/${index}`)) return true
    if (skipped.types.size === 0) return false
    const value = await storage.reader().get(keys.index({ user, index }))
    return value !== undefined && skipped.types.has(value.type)
  }

  /** To before the first entry that names what is being fetched. */
  async #moveCursor(): Promise<void> {
    const least = Math.min(this.#seen, ...[...this.#fetching.values()].map((serial) => serial - 1))
    if (least === this.#moved) return
    this.#moved = toSerial(least)
    await this.#input.storage.moveCursor(CURSOR, this.#moved)
  }

  #changed(): void {
    if (this.#isInSync) this.#inSyncAt = this.#input.now()
    for (const resolve of [...this.#waiting]) {
      this.#waiting.delete(resolve)
      resolve()
    }
  }
}
