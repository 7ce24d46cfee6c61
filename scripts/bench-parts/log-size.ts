import { encodeEntry, packValue } from '#log-format/codec.js'
import { median } from './load.js'
import { StoredLog } from '../stored-log.js'

export interface LogSizes {
  /** Of an entry of an upload, median. */
  readonly entryBytes: number
  /** What is left of it without mutation and changes. */
  readonly envelopeBytes: number
  /** Of the metadata in it. */
  readonly metadataBytes: number
}

export async function logSizes(serverDir: string): Promise<LogSizes> {
  await using log = await StoredLog.open(serverDir)
  const entries: number[] = []
  const envelopes: number[] = []
  const metadata: number[] = []
  for await (const { entry, bytes } of log.entries(0, log.head)) {
    if (entry.mutation.kind !== 'file-uploaded') continue
    const found = entry.changes.find(({ path }) => path.endsWith('/.metadata'))
    entries.push(bytes.length)
    metadata.push(found === undefined ? 0 : packValue([found.path, found.value]).length)
    envelopes.push(encodeEntry({ ...entry, changes: [] }).length - packValue(entry.mutation).length)
  }
  return { entryBytes: median(entries), envelopeBytes: median(envelopes), metadataBytes: median(metadata) }
}
