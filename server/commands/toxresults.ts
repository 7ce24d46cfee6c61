import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { LinkValue, ToxReport } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { linksAt } from './files.js'
import type { LinkRef } from './index-contents.js'
import { filePath, type FileRef, indexName, requireIndex, splitDir } from './lookups.js'
import { linkOrder, placeLink, toxResultsOf } from './releases.js'
import { authorize } from './rights.js'
import { releaseOf, type StoredBlob } from './uploads.js'

/** The public path of a tox result and the digest of its bytes. */
export interface AttachedToxresult {
  readonly path: string
  readonly sha256: string
}

export interface AttachToxresult extends FileRef, StoredBlob {
  readonly caller: Caller
  /** What the document says in short, if it is a report. */
  readonly report: ToxReport | undefined
}

/** Attaches a test report to a release file. Refuses `forbidden`, and `not-found` for whatever is not a release file. */
export async function attachToxresult(
  tx: Transaction,
  input: AttachToxresult,
): Promise<AttachedToxresult> {
  const { caller } = input
  const release = await requireReleaseFile(tx, input)

  const ref = { ...release.ref, basename: await freeToxresultName(tx, release.ref) }
  const link: LinkValue = {
    rel: 'toxresult',
    sha256: input.sha256,
    size: input.size,
    dir: release.link.dir,
    time: tx.time,
    order: linkOrder(tx),
    forFile: input.basename,
    ...(input.report !== undefined && { report: input.report }),
    log: [{ what: 'upload', who: caller.user ?? null, when: tx.time, dst: indexName(input) }],
  }
  await placeLink(tx, ref, link, undefined)
  tx.record({
    kind: 'toxresult-attached',
    ...releaseOf(ref),
    file: input.basename,
    toxresult: ref.basename,
    sha256: input.sha256,
    size: input.size,
  })
  return { path: filePath({ ...ref, ...splitDir(link.dir) }), sha256: input.sha256 }
}

/** Refuses what {@link attachToxresult} would refuse as things stand, so that no report is received for nothing. */
export async function checkToxresult(reader: Reader, input: FileRef & { readonly caller: Caller }): Promise<void> {
  await requireReleaseFile(reader, input)
}

async function requireReleaseFile(reader: Reader, input: FileRef & { readonly caller: Caller }) {
  const { user, index, caller } = input
  await authorize(reader, caller, 'toxresult-upload', { user, index: await requireIndex(reader, input), indexName: index })
  const file = await reader.get(keys.file(input))
  const links = file === undefined ? [] : await linksAt(reader, input, file)
  const release = links.find(({ link }) => link.rel === 'releasefile')
  if (release === undefined) throw new Refusal('not-found', `no release file found at ${filePath(input)}`)
  return release
}

/** `{file}.toxresult-{YYYYMMDDhhmmss}-{n}`, `n` above those of all the results the file has. */
export async function freeToxresultName(tx: Transaction, release: LinkRef): Promise<string> {
  const results = await toxResultsOf(tx, release)
  const numbers = results.map(({ ref }) => Number(ref.basename.slice(ref.basename.lastIndexOf('-') + 1)))
  const next = Math.max(-1, ...numbers.filter(Number.isSafeInteger)) + 1
  const seconds = new Date(tx.time).toISOString().replace(/\D/g, '').slice(0, 14)
  return `${release.basename}.toxresult-${seconds}-${next}`
}
