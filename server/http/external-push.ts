import type { Response } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { MetadataValue } from '#log-format/values.js'
import { filePath, splitDir, type VersionRef } from '#server/commands/lookups.js'
import type { AskedMirror } from '#server/commands/mirrors.js'
import { type PushedRow, type PushRelease, selectRelease } from '#server/commands/pushes.js'
import { authorize } from '#server/commands/rights.js'
import type { StoredBlob } from '#server/commands/uploads.js'
import { parseFilename } from '#server/packaging/filename.js'
import type { Reader } from '#server/storage/reader.js'
import { type FormFile, postForm, type PostReply } from '#server/upstream/form-post.js'
import type { Deps } from './deps.js'
import { HeldBlobs } from './held-blobs.js'
import type { JsonObject } from './json-body.js'
import { fetchRelease, metadataOf } from './mirror-push.js'
import { RequestAborted } from './request-body.js'
import { sendResult } from './respond.js'

/** Where a release goes, and who says so there. */
export interface ExternalTarget {
  readonly url: URL
  readonly username: string
  readonly password: string
  readonly registerProject: boolean
}

/** Reads the target out of the body of a push. Refuses `invalid`, without repeating what may be a password. */
export function externalTargetOf(body: JsonObject): ExternalTarget {
  const { posturl, username = '', password = '', register_project: registerProject = false } = body
  const url = typeof posturl === 'string' && URL.canParse(posturl) ? new URL(posturl) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw new Refusal('invalid', 'posturl must be an http or https address')
  if (url.username !== '' || url.password !== '') {
    throw new Refusal('invalid', 'posturl must not hold a user and password; send them as username and password')
  }
  if (typeof username !== 'string' || typeof password !== 'string') throw new Refusal('invalid', 'username and password must be texts')
  if (typeof registerProject !== 'boolean') throw new Refusal('invalid', 'register_project must be true or false')
  return { url, username, password, registerProject }
}

interface ExternalPush extends Omit<PushRelease, 'target'> {
  readonly target: ExternalTarget
  /** Where the index is one. */
  readonly mirror: AskedMirror | undefined
}

/** What is sent of a release. */
interface SentRelease {
  readonly source: VersionRef
  readonly metadata: MetadataValue
  readonly files: readonly SentFile[]
  readonly docs: readonly StoredBlob[]
}

interface SentFile {
  readonly basename: string
  /** As the rows name it. */
  readonly path: string
  readonly content: StoredBlob
  readonly metadata: MetadataValue
}

/**
 * Sends a release to another server as upload tools do, file by file, and
 * answers with a row for each: what was sent stays sent. Nothing changes here.
 * 200 when all of it was taken, else 502. The files of a mirror are all here
 * before the first of them is sent: refuses `upstream-failed` where one cannot be had.
 */
export async function pushToServer(deps: Deps, response: Response, push: ExternalPush): Promise<void> {
  const reader = deps.storage.reader()
  await authorize(reader, push.caller, 'push-elsewhere', { user: push.user, indexName: push.index })
  deps.targetHosts.check(push.target.url)
  using held = new HeldBlobs()
  const { mirror } = push
  const { source, metadata, files, docs } = mirror === undefined ? await ownRelease(reader, push, deps.now()) : await mirroredRelease(deps, response, { release: { ...push, mirror }, held })
  response.setTimeout(0) // nothing comes here while another server takes its time
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new RequestAborted())
  })
  if (response.destroyed) throw new RequestAborted()

  const sender = new Sender(deps, push.target, gone.signal)
  if (push.target.registerProject) await sender.register(source, metadata)
  for (const file of files) await sender.upload(file, source)
  for (const content of docs) await sender.docs(source, metadata, content)
  sendResult(response, { type: 'actionlog', result: sender.rows, serial: deps.storage.head.serial, status: sender.failed ? 502 : 200 })
}

async function ownRelease(reader: Reader, push: ExternalPush, now: number): Promise<SentRelease> {
  const { source, links } = await selectRelease(reader, { ...push, now })
  const metadata = (await reader.get(keys.metadata(source))) ?? {}
  const files = links.flatMap(({ ref, link }) =>
    link.rel === 'releasefile' ? [{ basename: ref.basename, path: filePath({ ...ref, ...splitDir(link.dir) }), content: link, metadata }] : [],
  )
  return { source, metadata, files, docs: links.flatMap(({ link }) => (link.rel === 'doczip' ? [link] : [])) }
}

/** Each file says of itself what is in it; one in which nothing can be read, what another one says. */
async function mirroredRelease(deps: Deps, response: Response, input: Parameters<typeof fetchRelease>[2]): Promise<SentRelease> {
  const fetched = await fetchRelease(deps, response, input)
  const [first] = fetched
  if (first === undefined) throw new Error('a push without files')
  const { project, value: { version } } = first.file
  const common = metadataOf(fetched)
  const files = fetched.map(({ file, metadata }) => {
    const { requiresPython = file.value.requiresPython } = file
    const said = Object.keys(metadata).length > 0 ? metadata : common
    return {
      basename: file.basename,
      path: filePath({ ...file, ...splitDir(file.value.dir) }),
      content: file.content,
      metadata: { name: project, version, ...said, ...(requiresPython !== undefined && { requires_python: requiresPython }) },
    }
  })
  return { source: { ...input.release, project, version }, metadata: { name: project, version, ...common }, files, docs: [] }
}

/** Sends one form after the other and keeps the rows; after one that nobody answered it sends no more. */
class Sender {
  readonly rows: PushedRow[] = []
  failed = false
  /** Why nobody answered. */
  #lost: string | undefined
  readonly #deps: Deps
  readonly #target: ExternalTarget
  readonly #signal: AbortSignal

  constructor(deps: Deps, target: ExternalTarget, signal: AbortSignal) {
    this.#deps = deps
    this.#target = target
    this.#signal = signal
  }

  async register(source: VersionRef, metadata: MetadataValue): Promise<void> {
    const { status } = await this.#post({ ':action': 'submit' }, metadata)
    // 410: the public index has no registering any more, and needs none.
    this.#note([status, 'register', source.project, source.version], [200, 201, 410].includes(status))
  }

  async upload({ path, basename, content, metadata }: SentFile, source: VersionRef): Promise<void> {
    const parsed = parseFilename(basename, source.project)
    const fields = {
      ':action': 'file_upload',
      filetype: parsed?.kind ?? 'sdist',
      pyversion: parsed?.pythonVersion ?? 'source',
      sha256_digest: content.sha256,
    }
    const { status, text } = await this.#send(fields, metadata, { filename: basename, content })
    const done = status === 200 || status === 201
    this.#note([status, 'upload', path, done ? '' : text], done)
  }

  async docs(source: VersionRef, metadata: MetadataValue, content: StoredBlob): Promise<void> {
    const { status } = await this.#send({ ':action': 'doc_upload' }, metadata, { filename: `${source.project}.zip`, content })
    this.#note([status, 'docfile', source.project], status === 200 || status === 201)
  }

  #note(row: PushedRow, done: boolean): void {
    this.rows.push(row)
    if (!done) this.failed = true
  }

  async #post(fields: Readonly<Record<string, string>>, metadata: MetadataValue, file?: FormFile): Promise<PostReply> {
    if (this.#lost !== undefined) return { status: -1, text: `not sent: ${this.#lost}` }
    const { url, username, password } = this.#target
    try {
      return await postForm({
        url,
        username,
        password,
        userAgent: `devpi-server/${this.#deps.node.serverVersion}`,
        fields: [...Object.entries({ ...fields, protocol_version: '1' }), ...metadataFields(metadata)],
        ...(file !== undefined && { file }),
        hosts: this.#deps.targetHosts,
        signal: this.#signal,
      })
    } catch (error) {
      if (!(error instanceof Refusal) || error.kind !== 'upstream-failed') throw error
      this.#lost = error.message
      return { status: -1, text: error.message }
    }
  }

  async #send(fields: Readonly<Record<string, string>>, metadata: MetadataValue, file: { readonly filename: string; readonly content: StoredBlob }): Promise<PostReply> {
    const { filename, content: { sha256, size } } = file
    if ((await this.#deps.blobs.stat(sha256)) === undefined) return { status: -1, text: 'not sent: it is missing on the disk of this server; devpi-fsck tells of all such files' }
    return this.#post(fields, metadata, { field: 'content', filename, size, bytes: () => this.#bytesOf(sha256) })
  }

  async *#bytesOf(sha256: string): AsyncGenerator<Uint8Array> {
    const blob = await this.#deps.blobs.open(sha256)
    if (blob === undefined) throw new Error(`the blob ${sha256} is missing`)
    try {
      for (let position = 0; position < blob.size; ) {
        const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, blob.size - position))
        const bytes = await blob.read(piece, position)
        if (bytes === 0) throw new Error(`the blob ${sha256} is shorter than it was`)
        position += bytes
        yield piece.subarray(0, bytes)
      }
    } finally {
      await blob.close()
    }
  }
}

const PIECE_BYTES = 256 * 1024

/** Metadata as form fields: a list field as often as it has values, an empty one not at all. */
function metadataFields(metadata: MetadataValue): (readonly [string, string])[] {
  const stated = Object.entries(metadata).flatMap(([field, value]) =>
    typeof value === 'string' ? [[field, value] as const] : value.map((item) => [field, item] as const),
  )
  const fields = stated.filter(([, value]) => value !== '')
  return fields.some(([field]) => field === 'metadata_version') ? fields : [...fields, ['metadata_version', '2.1']]
}
