import type { Readable } from 'node:stream'
import type { DigestName } from './content-hash.js'

/** What is known of a blob without reading it. `sha256` is lower-case hex, everywhere in this interface. */
export interface BlobStat {
  readonly size: number
  /** When these bytes were last received, ms since the epoch. */
  readonly mtimeMs: number
}

export interface ListedBlob extends BlobStat {
  readonly sha256: string
}

export interface ReceiveOptions {
  /** More bytes than this are refused `too-large`, without reading on. */
  readonly maxBytes: number
  /** Digests wanted besides sha256. */
  readonly digests?: readonly DigestName[]
  /** Aborts the receiving, which then rejects with the reason. */
  readonly signal?: AbortSignal
  /**
   * Told whenever more of a content can be read from the file it is written to,
   * which goes away in the end: how many bytes in all, and the last of them.
   */
  readonly onWritten?: (path: string, bytes: number, last: readonly Uint8Array[]) => void
}

/**
 * A whole content that arrived and is not yet a blob. Its owner disposes it,
 * come what may: `await using received = await blobs.receive(…)`. That removes
 * what was not committed, and unpins what was.
 */
export interface ReceivedBlob extends AsyncDisposable {
  readonly sha256: string
  readonly size: number
  /** Hex, by name: those asked for, and always `sha256`. */
  readonly digests: Readonly<Partial<Record<DigestName, string>>>
  /** To look into before the commit or the disposal. Must be closed. */
  open(): Promise<OpenBlob>
  /**
   * Makes it a blob: durable when this resolves, and pinned until disposal, so
   * that there is time to write the entry that names it.
   */
  commit(): Promise<void>
}

/** A blob that the sweep leaves alone until disposal. */
export interface PinnedBlob extends Disposable {
  readonly sha256: string
  readonly size: number
}

/** An open blob; keeps answering after the blob was deleted. Must be closed. */
export interface OpenBlob {
  readonly size: number
  /** Fills `buffer` from `position` on; fewer bytes than fit, or 0, only at the end. */
  read(buffer: Uint8Array, position: number): Promise<number>
  close(): Promise<void>
}

/**
 * File contents by their sha256.
 *
 * For callers: a blob is all there or not there, is the same for ever, and
 * putting it again is harmless. Commit a blob *before* the entry that names
 * it, and hold its pin until that entry is durable.
 *
 * For implementers: verify while receiving, so that no blob can exist under
 * another content's digest; resolve only what is durable; hold no content in
 * memory beyond a few hundred KiB per call. A commit and a delete of the same
 * digest must exclude each other, see {@link BlobPins}. Pins hold within this
 * process; a store shared by several nodes relies on the sweep's grace period.
 * `test/storage/blob-store.suite.ts` is the contract.
 */
export interface BlobStore {
  /**
   * Reads a stream to its end. Refuses `too-large` and `storage-full`; rejects
   * with the stream's error, or with the abort reason. After a rejection nothing
   * is left behind, and the stream is not destroyed: who owns it decides.
   */
  receive(stream: Readable, options: ReceiveOptions): Promise<ReceivedBlob>
  /** Makes a small content a blob in one step, as durable as a commit. */
  putBytes(bytes: Uint8Array, options?: { readonly signal?: AbortSignal }): Promise<PinnedBlob>
  /** Keeps a blob, present or expected, from deletion until disposal; pins of one digest add up. */
  pin(sha256: string): Disposable
  /** Pins a blob that is there, undefined when it is not: no deletion, also none that had started before, takes it. */
  hold(sha256: string): Promise<PinnedBlob | undefined>
  stat(sha256: string): Promise<BlobStat | undefined>
  open(sha256: string): Promise<OpenBlob | undefined>
  /** A whole blob, for small ones. */
  read(sha256: string): Promise<Uint8Array | undefined>
  /**
   * Deletes unless pinned; tells whether it did. With `onlyIf` the answer
   * decides, and a commit of the same digest waits until this is settled: what
   * was unnamed when asked cannot get a name before it is gone.
   */
  delete(sha256: string, options?: { readonly onlyIf?: () => boolean | Promise<boolean> }): Promise<boolean>
  /** Every blob, in the order of digests; one that comes or goes meanwhile may be left out. */
  list(): AsyncIterable<ListedBlob>
}
