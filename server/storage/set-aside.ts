import { mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { digestHex, entryDigest } from '#log-format/chain.js'
import { readEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { frameHeader } from '#log-format/framing.js'
import { mutationText } from '#log-format/mutation-text.js'
import { nextSerial, type Serial } from '#log-format/serial.js'
import type { EntryStore } from './entry-store.js'
import { FolderSync } from './folder-sync.js'

/** Folder in a server directory with entries that its log has no more. */
export const SET_ASIDE_FOLDER = 'set-aside'

/** Name of the fact that lists what was put aside, as JSON. */
export const SET_ASIDE_FACT = 'set-aside'

/** Digits of the digest in the name of a file. */
const NAME_DIGITS = 8

export interface SetAside {
  /** Name of the file of frames in the folder; the same with `.txt` is for people. */
  readonly file: string
  readonly from: Serial
  readonly to: Serial
}

/** What was noted under the fact. */
export function readSetAside(text: string | undefined): readonly SetAside[] {
  return text === undefined ? [] : (JSON.parse(text) as readonly SetAside[])
}

/** One line for people. */
export function entryLine({ serial, time, actor, via, mutation }: Entry): string {
  return `${serial} ${new Date(time).toISOString()} ${actor} (${via}) ${mutationText(mutation)}`
}

/**
 * Writes the entries behind `common` to a file of frames, unchanged, and to a
 * list for people. Both are on the disk when it resolves; a second time it writes the same files anew.
 */
export async function setEntriesAside(input: {
  readonly serverDir: string
  readonly entries: EntryStore
  readonly common: Serial
  readonly onEntry: (entry: Entry, bytes: Uint8Array) => void | Promise<void>
}): Promise<SetAside> {
  const { serverDir, entries, common, onEntry } = input
  const { serial: to, epoch, digest } = entries.head
  const from = nextSerial(common)
  const folder = join(serverDir, SET_ASIDE_FOLDER)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const name = `${epoch}-${from}-${to}-${digestHex(digest).slice(0, NAME_DIGITS)}` // of one epoch there may be several histories
  await using frames = await newFile(join(folder, `${name}.log`))
  await using list = await newFile(join(folder, `${name}.txt`))
  for await (const stored of entries.read(from)) {
    for (const { bytes } of stored) {
      const entry = readEntry(bytes)
      await frames.add(frameHeader(bytes, entryDigest(entry.parent, bytes)), bytes)
      await list.add(Buffer.from(`${entryLine(entry)}\n`))
      await onEntry(entry, bytes)
    }
  }
  await frames.place()
  await list.place()
  for (const made of [folder, serverDir]) {
    await using sync = new FolderSync(made)
    await sync.sync()
  }
  return { file: `${name}.log`, from, to }
}

interface NewFile extends AsyncDisposable {
  add(...pieces: readonly Uint8Array[]): Promise<void>
  /** Gives it its name once all of it is on the disk. */
  place(): Promise<void>
}

async function newFile(path: string): Promise<NewFile> {
  const file = await open(`${path}.new`, 'w', 0o600)
  return {
    add: async (...pieces) => {
      for (const piece of pieces) await file.writeFile(piece)
    },
    place: async () => {
      await file.sync()
      await rename(`${path}.new`, path)
    },
    [Symbol.asyncDispose]: () => file.close(),
  }
}
