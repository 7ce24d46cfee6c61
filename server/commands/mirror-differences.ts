import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { keys } from '#log-format/keys.js'
import { checkFileBasename } from '#log-format/names.js'
import type { MirrorFileValue, MirrorIndexValue, ProjectValue } from '#log-format/values.js'
import { parseFilename } from '#server/packaging/filename.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'
import type { SimpleFile } from '#server/packaging/simple-page.js'
import { isSha256 } from '#server/storage/content-hash.js'
import type { Reader } from '#server/storage/reader.js'
import type { ProjectRef } from './lookups.js'

/** What an upstream said of a project; `url` of each file is absolute. */
export interface MirrorPage extends ProjectRef {
  /** Which one, as the settings of the mirror name it. */
  readonly upstream: string
  readonly files: readonly SimpleFile[]
}

/** How what is stored of a project differs from what an upstream says. */
export interface MirrorDifference {
  /** Whether there is any that is worth an entry. */
  readonly isDue: boolean
  readonly project: ProjectValue
  readonly set: ReadonlyMap<string, { readonly value: MirrorFileValue; readonly before: MirrorFileValue | undefined }>
}

/** The upstreams of a mirror, as its settings name them, in the order in which they are asked. */
export function upstreamUrls({ mirror_url: first, mirror_fallback_urls: others = [] }: Pick<MirrorIndexValue, 'mirror_url' | 'mirror_fallback_urls'>): readonly string[] {
  return first === undefined ? others : [first, ...others]
}

/**
 * What a page changes. The word of the first upstream of a mirror is the
 * truth. A later one, which is asked while those before it fail, adds files
 * that nobody told of yet and changes what it told of itself; so that the same
 * content changes nothing, whoever gives it, and what was removed does not come
 * back while the first is away. In either case the sha256 of a file stands
 * that was stated first: another upstream that states another one is noted
 * beside it, and nothing of that file is taken over.
 */
export async function differenceOf(reader: Reader, mirror: MirrorIndexValue, page: MirrorPage, time: number): Promise<MirrorDifference> {
  const { user, index, project } = page
  const known = await reader.get(keys.project({ user, index, project }))
  const before = new Map<string, MirrorFileValue>()
  for await (const { segments, value } of reader.scan(keys.mirrorFile.under(user, index, project))) {
    before.set(keys.mirrorFile.params(segments).basename, value)
  }
  const words = new Words(mirror, page.upstream, known)
  const set = new Map<string, { readonly value: MirrorFileValue; readonly before: MirrorFileValue | undefined }>()
  const put = (basename: string, said: MirrorFileValue, found: MirrorFileValue): void => {
    const value = words.stored(said)
    if (!isDeepStrictEqual(value, found)) set.set(basename, { value, before: found })
  }
  const seen = new Set<string>()
  for (const file of page.files) {
    const { filename } = file
    const version = seen.has(filename) ? undefined : versionIn(file, project)
    if (version === undefined) continue
    seen.add(filename)
    const found = before.get(filename)
    if (found === undefined) set.set(filename, { value: words.first({ file, version, time }), before: found })
    else put(filename, words.afterNaming({ file, version, time }, words.told(found)), found)
  }
  for (const [basename, found] of before) {
    if (!seen.has(basename)) put(basename, words.afterOmitting(words.told(found), time), found)
  }
  return { isDue: words.isNews || set.size > 0, project: words.projectValue({ project, time }), set }
}

/** A file as a page names it. */
interface NamedFile {
  readonly file: SimpleFile
  readonly version: string
  readonly time: number
}

/** A stored file together with who told of it. */
type ToldFile = MirrorFileValue & { readonly upstream: string }

/** Whose word counts for what, while one upstream speaks. */
class Words {
  readonly #known: ProjectValue | undefined
  readonly #urls: readonly string[]
  readonly #speaker: string
  readonly #rank: number
  /** Who told of the files that do not say it, before this page and after it. */
  readonly #teller: string
  readonly #tellerThen: string
  /** Another upstream was the first when the project was written, and this one is so now: all that does not contradict is its word. */
  readonly #takesOver: boolean

  constructor(mirror: MirrorIndexValue, speaker: string, known: ProjectValue | undefined) {
    this.#known = known
    this.#urls = upstreamUrls(mirror)
    this.#speaker = speaker
    this.#rank = this.#rankOf(speaker)
    const [first = ''] = this.#urls
    this.#teller = known?.upstream ?? first
    this.#takesOver = this.#rank === 0 && this.#teller !== speaker
    this.#tellerThen = this.#takesOver ? speaker : this.#teller
  }

  told(found: MirrorFileValue): ToldFile {
    return { ...found, upstream: found.upstream ?? this.#teller }
  }

  /** As it is stored: most files are of the upstream that the project names, and do not say so. */
  stored({ upstream, ...value }: MirrorFileValue): MirrorFileValue {
    return upstream === undefined || upstream === this.#tellerThen ? value : { ...value, upstream }
  }

  /** Whether it is new that there is the project, or whose word its files are. */
  get isNews(): boolean {
    return this.#known === undefined || this.#takesOver
  }

  projectValue({ project, time }: { readonly project: string; readonly time: number }): ProjectValue {
    return { ...(this.#known ?? { name: project, created: time }), upstream: this.#tellerThen }
  }

  /** Of a file that nobody told of before, as it is stored. */
  first(named: NamedFile): MirrorFileValue {
    const value = mirrorFileValue(named, undefined)
    return this.#speaker === this.#tellerThen ? value : { ...value, upstream: this.#speaker }
  }

  afterNaming(named: NamedFile, found: ToldFile): MirrorFileValue {
    const said = this.#said(named, found)
    const isOwn = found.upstream === this.#speaker
    if (isOwn && found.gone !== undefined && this.#rank > 0) return found
    const { sha256 } = named.file.hashes
    if (sha256 !== undefined && this.#keepsDigest(found) && sha256 !== found.sha256) {
      return withOthers(found, { ...found.otherDigests, [this.#speaker]: sha256 })
    }
    const agreed = this.#withoutWord(found)
    if (isOwn) return withOthers(said, agreed.otherDigests)
    if (!this.#mayChange(found)) return agreed
    const isKept = !this.#takesOver && this.#urls.includes(found.upstream) && isSameWord(said, found)
    return isKept ? agreed : withOthers(said, agreed.otherDigests)
  }

  afterOmitting(found: ToldFile, time: number): MirrorFileValue {
    const rest = this.#withoutWord(found)
    return found.gone === undefined && (found.upstream === this.#speaker || this.#mayChange(found)) ? { ...rest, gone: time } : rest
  }

  /** What the speaker says. Where it states no digest, the file is still to be the one that another upstream told of. */
  #said(named: NamedFile, found: ToldFile): MirrorFileValue {
    const value = { ...mirrorFileValue(named, found), upstream: this.#speaker }
    if (!this.#keepsDigest(found)) return value
    const by = found.digestBy ?? found.upstream
    return {
      ...value,
      dir: found.dir,
      ...(found.sha256 !== undefined && { sha256: found.sha256 }),
      ...(value.size === undefined && found.size !== undefined && { size: found.size }),
      ...(named.file.hashes['sha256'] === undefined && by !== this.#speaker && { digestBy: by }),
    }
  }

  /** Whether the digest of a file is the word of somebody else, even if the speaker told of the file since. */
  #keepsDigest(found: ToldFile): boolean {
    return found.sha256 !== undefined && (found.upstream !== this.#speaker || found.digestBy !== undefined)
  }

  /** Whether the speaker may change what another upstream told of. */
  #mayChange(found: ToldFile): boolean {
    return this.#rank < this.#rankOf(found.upstream) && (this.#rank === 0 || found.gone === undefined)
  }

  #withoutWord(found: ToldFile): MirrorFileValue {
    if (found.otherDigests?.[this.#speaker] === undefined) return found
    const { [this.#speaker]: _, ...others } = found.otherDigests
    return withOthers(found, others)
  }

  #rankOf(upstream: string): number {
    const at = this.#urls.indexOf(upstream)
    return at === -1 ? Infinity : at
  }
}

/** With the digests that other upstreams state, as far as they are others. */
function withOthers({ otherDigests: _, ...value }: MirrorFileValue, others: MirrorFileValue['otherDigests']): MirrorFileValue {
  const left = Object.entries(others ?? {}).filter(([, sha256]) => sha256 !== value.sha256)
  return left.length === 0 ? value : { ...value, otherDigests: Object.fromEntries(left) }
}

/** Whether two upstreams say the same of a file, wherever they have it. */
function isSameWord(said: MirrorFileValue, found: MirrorFileValue): boolean {
  const bare = ({ url: _, upstream: __, otherDigests: ___, dir: ____, digestBy: _____, ...value }: MirrorFileValue): object => value
  return isDeepStrictEqual(bare(said), bare(found))
}

function mirrorFileValue({ file, version, time }: NamedFile, before: MirrorFileValue | undefined): MirrorFileValue {
  const { sha256, md5 } = file.hashes
  const found = before?.url === file.url && sha256 === undefined ? before : undefined // and its digest, which was found by downloading
  const known = sha256 ?? found?.sha256
  const size = file.size ?? found?.size
  const metadata = file.coreMetadata === undefined || file.coreMetadata === true ? undefined : file.coreMetadata['sha256']
  const isSame = before !== undefined && isSameContent(before, file.url, sha256)
  const value: Writable<MirrorFileValue> = {
    url: file.url,
    version,
    dir: found?.dir ?? dirOf(sha256 ?? createHash('sha256').update(file.url).digest('hex')),
    seen: isSame ? before.seen : time,
  }
  // Field by field: a page has thousands of files, and an object that is put together out of many takes several times as long.
  if (known !== undefined) value.sha256 = known
  if (sha256 === undefined && md5 !== undefined) value.md5 = md5
  if (size !== undefined) value.size = size
  if (file.uploadTime !== undefined) value.time = file.uploadTime
  if (file.requiresPython !== undefined) value.requiresPython = file.requiresPython
  if (file.yanked !== undefined) value.yanked = file.yanked === true ? '' : file.yanked
  if (metadata !== undefined && isSha256(metadata)) value.coreMetadata = metadata
  if (isSame && before.noMetadata === true) value.noMetadata = true
  if (file.provenance !== undefined) value.provenance = file.provenance
  return value
}

type Writable<T> = { -readonly [Field in keyof T]: T[Field] }

/** Other bytes under a name that is known are as new as a name that is not. */
function isSameContent(before: MirrorFileValue, url: string, sha256: string | undefined): boolean {
  return sha256 === undefined || before.sha256 === undefined ? before.url === url : before.sha256 === sha256
}

function dirOf(digest: string): string {
  return `${digest.slice(0, 3)}/${digest.slice(3, 16)}`
}

/** Undefined for what is no release file of the project, has a name that cannot stand in a path, or a digest that is none. */
function versionIn({ filename, hashes }: SimpleFile, project: string): string | undefined {
  if (!isSafeName(filename) || (hashes['sha256'] !== undefined && !isSha256(hashes['sha256']))) return undefined
  const parsed = parseFilename(filename, project)
  if (parsed === undefined || parsed.version === '' || normalizeProjectName(parsed.project) !== project) return undefined
  return parsed.version
}

function isSafeName(filename: string): boolean {
  try {
    checkFileBasename(filename)
    return true
  } catch {
    return false // what nobody may upload here is left out of what an upstream has
  }
}
