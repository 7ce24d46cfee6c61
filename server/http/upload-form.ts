import type { IncomingMessage } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import { checkFileBasename, checkVersionText } from '#log-format/names.js'
import type { MetadataValue } from '#log-format/values.js'
import type { ReleaseForm } from '#server/commands/uploads.js'
import { checkMetadata, MAX_CORE_METADATA_BYTES, metadataFromForm } from '#server/packaging/core-metadata.js'
import { checkUploadFilename } from '#server/packaging/filename.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'
import type { ReceivedBlob } from '#server/storage/blob-store.js'
import { ContentHasher, type DigestName } from '#server/storage/content-hash.js'
import { readPieces } from '#server/storage/open-blob.js'
import type { Deps } from './deps.js'
import type { Form } from './form.js'
import { readForm } from './read-form.js'

/** Releases with a thousand dependencies and classifiers exist, with ten thousand they do not. */
const MAX_FIELDS = 5000

/** The digests that a form may announce (`spec/server-http.md` 8.7), by their field. */
const DIGEST_FIELDS: readonly (readonly [field: string, digest: DigestName])[] = [
  ['md5_digest', 'md5'],
  ['sha256_digest', 'sha256'],
  ['blake2_256_digest', 'blake2b-256'],
]

export type Fields = Form<never>['fields']
export type UploadForm = Form<ReceivedBlob>

/** The release a form is about, as far as the form tells. */
export type FormRelease = Pick<ReleaseForm, 'project' | 'name' | 'version' | 'metadata'>

/** Reads an upload; the file is received on the way. The caller disposes it. Refuses as {@link readForm}. */
export function readUploadForm(deps: Pick<Deps, 'blobs' | 'limits'>, request: IncomingMessage): Promise<UploadForm> {
  const { maxUploadBytes, idleTimeoutMs } = deps.limits
  return readForm(request, {
    maxBodyBytes: maxUploadBytes,
    maxFields: MAX_FIELDS,
    maxFieldBytes: MAX_CORE_METADATA_BYTES,
    maxTotalFieldBytes: 2 * MAX_CORE_METADATA_BYTES,
    idleTimeoutMs,
    onFile: ({ stream, signal, fieldsBefore }) => {
      const digests = DIGEST_FIELDS.filter(([field]) => fieldsBefore.includes(field)).map(([, digest]) => digest)
      return deps.blobs.receive(stream, { maxBytes: maxUploadBytes, digests, signal })
    },
  })
}

/** The last value of a field; `undefined` when it was not sent. */
export function fieldOf(fields: Fields, wanted: string): string | undefined {
  return fields.findLast(([name]) => name === wanted)?.[1]
}

/** Refuses `invalid` a form that names no release, or one that no index can have. */
export function releaseOfForm(fields: Fields): FormRelease {
  const metadata = metadataFromForm(fields)
  checkMetadata(metadata)
  const [name, version] = [textOf(metadata, 'name'), textOf(metadata, 'version')]
  checkVersionText(version)
  return { project: normalizeProjectName(name), name, version, metadata }
}

/** As {@link releaseOfForm}, but the version may be left out, or be empty. */
export function docsOfForm(fields: Fields): Omit<FormRelease, 'version'> & { readonly version: string | undefined } {
  const said = fields.filter(([name, value]) => name !== 'version' || value !== '')
  if (fieldOf(said, 'version') !== undefined) return releaseOfForm(said)
  const { version: _, ...metadata } = releaseOfForm([...said, ['version', '0']]).metadata // stands in for the one to be found
  const name = textOf(metadata, 'name')
  return { project: normalizeProjectName(name), name, version: undefined, metadata }
}

/** Refuses `invalid` a file name that is not one of this release. */
export function checkFilename(filename: string, release: FormRelease): void {
  checkUploadFilename(filename, { project: release.name, version: release.version })
  checkFileBasename(filename)
}

/** The file of a form; refuses `invalid` a form without one. */
export function requireFile(form: UploadForm): NonNullable<UploadForm['file']> {
  if (form.file === undefined) throw new Refusal('invalid', 'content file field not found')
  return form.file
}

/** Refuses `invalid` a file with another digest than the form announces; each that is announced counts. */
export async function checkDigests(fields: Fields, received: ReceivedBlob): Promise<void> {
  const announced = DIGEST_FIELDS.flatMap(([field, digest]) => {
    const value = fieldOf(fields, field)?.toLowerCase()
    return value === undefined || value === '' ? [] : [{ field, digest, value }]
  })
  const late = announced.map(({ digest }) => digest).filter((digest) => received.digests[digest] === undefined)
  const digests = { ...received.digests, ...(late.length > 0 && (await digestsOf(received, late))) }
  const wrong = announced.find(({ digest, value }) => digests[digest] !== value)
  if (wrong === undefined) return
  throw new Refusal('invalid', `the file does not have the ${wrong.field} of the form; it was damaged on its way, or is another one`)
}

/** For digests whose fields came after the file. */
async function digestsOf(received: ReceivedBlob, names: readonly DigestName[]): Promise<ReceivedBlob['digests']> {
  const hash = await new ContentHasher().start(names)
  const content = await received.open()
  try {
    await readPieces(content, (piece) => hash.update(piece))
  } finally {
    await content.close()
  }
  return hash.digest()
}

function textOf(metadata: MetadataValue, field: string): string {
  const value = metadata[field]
  return typeof value === 'string' ? value : ''
}
