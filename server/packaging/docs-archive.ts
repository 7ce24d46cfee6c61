import { Refusal } from '#log-format/api/refusal.js'
import { type ArchiveSource, readingAhead } from './archive-source.js'
import { BrokenArchive } from './broken-archive.js'
import { checkZipMember, checkZipPacking, locateZipMember, visitZip } from './zip-archive.js'
import type { ZipMember } from './zip-directory.js'

const MAX_DOCS_FILES = 50_000
/** Of all files together, unpacked. */
const MAX_DOCS_BYTES = 2 * 1024 ** 3
/** What is larger than this may not be packed to less than a 200th: text is at a tenth, a bomb at a thousandth. */
const RATIO_COUNTS_FROM_BYTES = 1024 ** 2
const MAX_RATIO = 200

/**
 * Refuses, in one sentence, a zip that is no documentation or is made to harm
 * who unpacks it. `invalid`: no well-formed zip; names that lead outside, come
 * twice or are file and folder at once; links and devices; encrypted or
 * overlapping files, and files that are not what the list says of them.
 * `too-large`: too many files, too many bytes, and what unpacks to far more
 * than it is. Only what passes all of the rest is unpacked, to nowhere.
 */
export async function checkDocsArchive(source: ArchiveSource): Promise<void> {
  try {
    const members = (await listMembers(source)).sort((a, b) => a.offset - b.offset)
    await checkPlaces(source, members)
    await checkContents(source, members)
  } catch (cause) {
    if (!(cause instanceof BrokenArchive)) throw cause
    throw new Refusal(cause.kind, `the documentation ${cause.message}`, { cause })
  }
}

/** Whether the list of files alone passes {@link checkDocsArchive}: enough for a reader that checks the rest as it goes. */
export async function hasDocsList(source: ArchiveSource): Promise<boolean> {
  try {
    await listMembers(source)
    return true
  } catch (error) {
    if (error instanceof BrokenArchive) return false
    throw error
  }
}

/**
 * The address of a file below the top of the documentation, by its name in
 * the zip: without the `./` that some tools write.
 */
export function docsPathOf(memberName: string): string {
  if (!NOT_PLAIN.test(memberName)) return memberName
  return memberName.split('/').filter((part) => part !== '' && part !== '.').join('/')
}

const NOT_PLAIN = /(?:^|\/)\.?(?:\/|$)/

async function listMembers(source: ArchiveSource): Promise<ZipMember[]> {
  const members: ZipMember[] = []
  const names = new MemberNames()
  let bytes = 0
  const visit = (member: ZipMember): void => {
    checkType(member)
    checkZipPacking(member)
    names.add(member.name)
    bytes += member.size
    if (bytes > MAX_DOCS_BYTES) throw new BrokenArchive(`unpacks to more than ${MAX_DOCS_BYTES} bytes`, { kind: 'too-large' })
    checkRatio(member)
    members.push(member)
  }
  await visitZip(source, visit, { maxEntries: MAX_DOCS_FILES })
  names.checkFolders()
  return members
}

const FILE_TYPE = 0o170000
const UNTYPED = 0
const REGULAR = 0o100000
const FOLDER = 0o040000

function checkType({ name, unixMode }: ZipMember): void {
  const type = unixMode & FILE_TYPE
  if (type === UNTYPED || type === REGULAR || type === FOLDER) return
  throw new BrokenArchive(`has ${quoted(name)}, which is a link or a device and not a file`)
}

function checkRatio({ name, size, compressedSize }: ZipMember): void {
  if (size <= RATIO_COUNTS_FROM_BYTES || size <= MAX_RATIO * compressedSize) return
  throw new BrokenArchive(`has ${quoted(name)}, which unpacks to more than ${MAX_RATIO} times its size`, { kind: 'too-large' })
}

/**
 * Names that are one file to somebody. Letters that differ in case are two
 * files, as generated references have them; a name in two Unicode forms is one.
 */
class MemberNames {
  readonly #files = new Set<string>()
  readonly #folders = new Set<string>()

  add(name: string): void {
    const path = docsPathOf(name).normalize('NFC')
    if (name.endsWith('/')) this.#folders.add(path)
    else if (this.#files.has(path)) throw new BrokenArchive(`has ${quoted(name)} more than once`)
    else this.#files.add(path)
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const folder = path.slice(0, at)
      if (this.#folders.has(folder)) return // and so are those it lies in
      this.#folders.add(folder)
    }
  }

  checkFolders(): void {
    for (const path of this.#files) {
      if (this.#folders.has(path)) throw new BrokenArchive(`has ${quoted(path)} both as a file and as a folder`)
    }
  }
}

/** Files that share bytes are how a small zip unpacks to a huge one. In the order of their places. */
async function checkPlaces(source: ArchiveSource, members: readonly ZipMember[]): Promise<void> {
  const headers = readingAhead(source)
  let end = 0
  for (const member of members) {
    if (member.offset < end) throw new BrokenArchive(`has ${quoted(member.name)} in the place of another file`)
    end = (await locateZipMember(headers, member)) + member.compressedSize
    if (end > source.size) throw new BrokenArchive(`has a damaged ${quoted(member.name)}`)
  }
}

/** A damaged file would fail whoever asks for it, again and again. In the order of their places. */
async function checkContents(source: ArchiveSource, members: readonly ZipMember[]): Promise<void> {
  const ahead = readingAhead(source)
  for (const member of members) await checkZipMember(ahead, member)
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 80))
}
