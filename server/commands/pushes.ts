import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { LinkLogEntry, LinkValue, StageIndexValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import type { Reader } from '#server/storage/reader.js'
import type { Transaction } from '#server/storage/transaction.js'
import { type LinkRef } from './index-contents.js'
import { docsBasename, filePath, findVersion, indexName, type IndexRef, requireIndex, requireStage, splitDir, type VersionRef } from './lookups.js'
import {
  checkPlacement,
  ensureVersion,
  findRelease,
  linkOrder,
  mergeVersionMetadata,
  placeLink,
  type ToxResult,
  toxResultsByFile,
} from './releases.js'
import { authorize } from './rights.js'
import { requireShownLinks } from './shown-files.js'
import { freeToxresultName } from './toxresults.js'
import { releaseOf } from './uploads.js'

export interface PushRelease extends VersionRef {
  readonly caller: Caller
  readonly target: IndexRef
  readonly docs: 'with' | 'without' | 'only'
}

/** One row of the action log: status, what was done, and to what. */
export type PushedRow = readonly (string | number)[]

/**
 * Copies a release with its files, tox results and documentation to another
 * index: all of it, or nothing. What is there already with the same bytes
 * counts as done. Refuses `not-found`, `forbidden`, `conflict`, `invalid`.
 */
export async function pushRelease(tx: Transaction, input: PushRelease): Promise<readonly PushedRow[]> {
  const { source, links } = await selectRelease(tx, { ...input, now: tx.time })
  const index = await requireTarget(tx, input)
  const target = await findRelease(tx, { ...input.target, project: source.project, version: source.version })

  const metadata = (await tx.get(keys.metadata(source))) ?? {}
  const project = await tx.get(keys.project(source))
  await ensureVersion(tx, target, project?.name ?? source.project)
  await mergeVersionMetadata(tx, target, { fields: metadata, volatile: index.volatile, onConflict: 'keep' })

  const copy = new Copy(tx, input, source, target, index)
  const releaseFiles = links.filter(({ link }) => link.rel === 'releasefile')
  const results = await toxResultsByFile(tx, source)
  for (const { ref, link } of releaseFiles) await copy.releaseFile(ref, link, results.get(ref.basename) ?? [])
  for (const docs of links.filter(({ link }) => link.rel === 'doczip')) await copy.docs(docs.link)
  tx.record({
    kind: 'release-pushed',
    ...releaseOf(target),
    source: indexName(input),
    files: links.map(({ ref }) => ref.basename),
  })
  return [[200, 'register', source.project, source.version, '->', indexName(input.target)], ...copy.rows]
}

export interface FoundLink {
  readonly ref: LinkRef
  readonly link: LinkValue
}

/** The version as its index spells it, and the links a push takes along. Refuses `forbidden`, also where a policy hides a file at the moment `now`, `invalid` and `not-found`. */
export async function selectRelease(
  reader: Reader,
  input: Omit<PushRelease, 'target'> & { readonly now: number },
): Promise<{ readonly source: VersionRef; readonly links: readonly FoundLink[] }> {
  const index = await requireIndex(reader, input)
  await authorize(reader, input.caller, 'read', { user: input.user, index, indexName: input.index })
  const found = await findVersion(reader, input)
  if (found === undefined) {
    throw new Refusal('invalid', `there are no files for ${input.project} ${input.version} on stage ${indexName(input)}`)
  }
  const source = { user: input.user, index: input.index, project: input.project, version: found.version }
  const links: FoundLink[] = []
  for await (const { segments, value } of reader.scan(
    keys.link.under(source.user, source.index, source.project, source.version),
  )) {
    const wanted = value.rel === 'doczip' ? input.docs !== 'without' : input.docs !== 'only'
    if (wanted && value.rel !== 'toxresult') links.push({ ref: keys.link.params(segments), link: value })
  }
  if (links.length === 0) {
    throw new Refusal('not-found', `no release/files found for ${source.project} ${source.version}`)
  }
  requireShownLinks({ user: source.user, index: source.index, settings: index, now: input.now }, links)
  return { source, links }
}

/** The index that a release may be pushed to. Refuses `not-found`, `unauthenticated`, `forbidden`, and `invalid` where it comes from there. */
export async function requireTarget(reader: Reader, input: IndexRef & Pick<PushRelease, 'caller' | 'target'>): Promise<StageIndexValue> {
  const { caller, target } = input
  const index = await requireIndex(reader, target)
  if (indexName(target) === indexName(input)) {
    throw new Refusal('invalid', `${indexName(target)} is where the release already is; choose another targetindex`)
  }
  await authorize(reader, caller, 'push', { user: target.user, index, indexName: target.index })
  return requireStage(reader, target)
}

/** Copies links one by one and keeps the rows that say so. */
class Copy {
  readonly rows: PushedRow[] = []
  #position = 0

  readonly #tx: Transaction
  readonly #input: PushRelease
  readonly #source: VersionRef
  readonly #target: VersionRef
  readonly #index: StageIndexValue

  constructor(tx: Transaction, input: PushRelease, source: VersionRef, target: VersionRef, index: StageIndexValue) {
    this.#tx = tx
    this.#input = input
    this.#source = source
    this.#target = target
    this.#index = index
  }

  async releaseFile(ref: LinkRef, link: LinkValue, results: readonly ToxResult[]): Promise<void> {
    const target = { ...this.#target, basename: ref.basename }
    const before = await this.#tx.get(keys.link(target))
    const placement = checkPlacement(this.#index, before, { basename: ref.basename, sha256: link.sha256 })
    this.rows.push([200, 'store_releasefile', filePath({ ...target, ...splitDir(link.dir) })])
    if (placement === 'identical') return
    await this.#place(target, link, before, this.#pushed(link.log.filter(({ what }) => what !== 'overwrite')))

    for (const result of results) {
      const basename = await freeToxresultName(this.#tx, target)
      const resultRef = { ...this.#target, basename }
      const log = this.#pushed(result.link.log.filter(({ what }) => what !== 'overwrite'))
      await this.#place(resultRef, { ...result.link, forFile: ref.basename }, undefined, log)
      this.rows.push([200, 'store_toxresult', filePath({ ...resultRef, ...splitDir(result.link.dir) })])
    }
  }

  async docs(link: LinkValue): Promise<void> {
    const basename = docsBasename(this.#target)
    const target = { ...this.#target, basename }
    const before = await this.#tx.get(keys.link(target))
    const placement = checkPlacement(this.#index, before, { basename, sha256: link.sha256 })
    const { project, version } = this.#source
    this.rows.push([200, 'store_doczip', project, version, '->', indexName(this.#target)])
    if (placement !== 'identical') await this.#place(target, link, before, this.#pushed(link.log))
  }

  async #place(ref: LinkRef, link: LinkValue, before: LinkValue | undefined, log: LinkLogEntry[]): Promise<void> {
    const file = await this.#tx.get(keys.file({ ...this.#source, ...splitDir(link.dir), basename: ref.basename }))
    const copied = { ...link, time: this.#tx.time, order: linkOrder(this.#tx, this.#position++), log }
    await placeLink(this.#tx, ref, copied, before, file?.lastModified)
  }

  /** A link's log with the push added. */
  #pushed(log: readonly LinkLogEntry[]): LinkLogEntry[] {
    const { caller, target } = this.#input
    const pushed: LinkLogEntry = {
      what: 'push',
      who: caller.user ?? null,
      when: this.#tx.time,
      src: indexName(this.#input),
      dst: indexName(target),
    }
    return [...log, pushed]
  }
}
