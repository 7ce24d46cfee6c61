import { createHash } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { Origin } from '#log-format/entry.js'
import { keys } from '#log-format/keys.js'
import type { Caller } from '#server/auth/caller.js'
import type { IndexRef } from '#server/commands/lookups.js'
import type { Placement } from '#server/commands/releases.js'
import { checkMayUpload, checkUpload, registerVersion, type StoredBlob, uploadDocs, uploadFile } from '#server/commands/uploads.js'
import { agreeOnIdentity, mergeMetadata, metadataFromCore } from '#server/packaging/core-metadata.js'
import { type ArchivedMetadata, readCoreMetadata } from '#server/packaging/dist-archive.js'
import { checkDocsArchive } from '#server/packaging/docs-archive.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'
import { versionIdentity } from '#log-format/version.js'
import type { OpenBlob, ReceivedBlob } from '#server/storage/blob-store.js'
import type { Committed } from '#server/storage/writer.js'
import { callerAndOrigin } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { indexPath } from '../params.js'
import { PendingBlobs } from '../pending-blobs.js'
import { sendBody, setSerial } from '../respond.js'
import {
  checkDigests,
  checkFilename,
  docsOfForm,
  fieldOf,
  type FormRelease,
  readUploadForm,
  releaseOfForm,
  requireFile,
  type UploadForm,
} from '../upload-form.js'
import { pushFromIndex } from './pushes.js'

/** POST to `/:user/:index{/}`: a form is an upload, anything else the JSON of a push. */
export function postToIndex(deps: Deps): RequestHandler {
  return async (request, response) => {
    const isForm = Boolean(request.is(['multipart/form-data', 'application/x-www-form-urlencoded']))
    await (isForm ? upload(deps, request, response) : pushFromIndex(deps, request, response))
  }
}

/** What the steps of one upload share. */
interface Upload {
  readonly deps: Deps
  readonly index: IndexRef
  readonly caller: Caller
  readonly origin: Origin
  readonly form: UploadForm
  readonly pending: PendingBlobs
}

type Uploaded = Committed<Placement | 'registered'>

/** `spec/server-http.md` 8.2: whoever may not upload is told so before the body is read. */
async function upload(deps: Deps, request: Request, response: Response): Promise<void> {
  const index = indexPath(request.params)
  const sender = await callerAndOrigin(deps, request)
  await checkMayUpload(deps.storage.reader(), { ...index, caller: sender.caller })
  await deps.uploadTurns.take()
  const uploaded = await takeUpload(deps, request, { index, ...sender }).catch(asReasonPhrase)
  await sendUploaded(deps, response, index, uploaded)
}

async function takeUpload(
  deps: Deps,
  request: Request,
  sender: Pick<Upload, 'index' | 'caller' | 'origin'>,
): Promise<Uploaded> {
  await using pending = new PendingBlobs(deps)
  const form = await readUploadForm(deps, request)
  await using _received = form.file?.content // let go of before `pending` looks whether it is named
  const uploaded = await performAction({ deps, ...sender, form, pending })
  pending.named()
  return uploaded
}

function performAction(given: Upload): Promise<Uploaded> {
  const action = fieldOf(given.form.fields, ':action') ?? ''
  switch (action) {
    case 'file_upload':
      return uploadRelease(given)
    case 'doc_upload':
      return uploadDocumentation(given)
    case 'submit':
      return register(given)
    case '':
      throw new Refusal('invalid', 'the form has no :action; a push is sent as JSON, not as a form')
    default:
      throw new Refusal('invalid', `action '${action.slice(0, 80)}' not supported`)
  }
}

async function register({ deps, index, caller, origin, form }: Upload): Promise<Uploaded> {
  const input = { ...index, caller, ...releaseOfForm(form.fields) }
  const { serial, changed } = await deps.storage.transact(origin, (tx) => registerVersion(tx, input))
  return { result: 'registered', serial, changed }
}

async function uploadRelease({ deps, index, caller, origin, form, pending }: Upload): Promise<Uploaded> {
  const { filename, content: received } = requireFile(form)
  const release = releaseOfForm(form.fields)
  checkFilename(filename, release)
  await checkDigests(form.fields, received)
  const archived = await inspectArchive(received, filename, release)

  const metadata = archived.kind === 'absent' ? release.metadata : mergeMetadata(release.metadata, metadataFromCore(archived.metadata))
  const { requires_python: requiresPython } = metadata
  const isWheel = filename.toLowerCase().endsWith('.whl')
  const file = {
    ...index,
    caller,
    ...release,
    metadata,
    basename: filename,
    sha256: received.sha256,
    size: received.size,
    requiresPython: typeof requiresPython === 'string' && requiresPython !== '' ? requiresPython : undefined,
    coreMetadata: isWheel && archived.kind === 'found' ? contentOf(archived.bytes) : undefined,
  }
  await checkUpload(deps.storage.reader(), file)

  await pending.commit(received)
  return deps.storage.transact(origin, (tx) => uploadFile(tx, file))
}

/** Names what a wheel holds and `serve-metadata.ts` takes out of it again: there is nothing to store. */
function contentOf(bytes: Uint8Array): StoredBlob {
  return { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length }
}

/** What the archive says of itself. Refuses `invalid` what is none, or is one of another release. */
async function inspectArchive(received: ReceivedBlob, filename: string, release: FormRelease): Promise<ArchivedMetadata> {
  const archived = await lookInto(received, (content) => readCoreMetadata(content, filename))
  if (archived.kind === 'found') {
    const claimed = { project: release.name, version: release.version }
    agreeOnIdentity(archived.metadata, claimed, { normalizeName: normalizeProjectName, canonicalVersion: versionIdentity })
  }
  return archived
}

async function lookInto<T>(received: ReceivedBlob, read: (content: OpenBlob) => Promise<T>): Promise<T> {
  const content = await received.open()
  try {
    return await read(content)
  } finally {
    await content.close()
  }
}

async function uploadDocumentation({ deps, index, caller, origin, form, pending }: Upload): Promise<Uploaded> {
  const { content: received } = requireFile(form)
  const docs = docsOfForm(form.fields)
  await checkDigests(form.fields, received)
  await lookInto(received, checkDocsArchive)
  await pending.commit(received)
  const input = { ...index, caller, ...docs, sha256: received.sha256, size: received.size }
  return deps.storage.transact(origin, (tx) => uploadDocs(tx, input))
}

/** Clients want 200 and no other success; devpi-client prints an unusual reason phrase. */
async function sendUploaded(deps: Deps, response: Response, index: IndexRef, { result, serial }: Uploaded): Promise<void> {
  const isNoop = result === 'identical' && (await deps.storage.reader(serial).get(keys.index(index)))?.volatile === false
  if (isNoop) response.statusMessage = 'Upload of identical file to non volatile index.'
  setSerial(response, serial)
  sendBody(response, 200, '', { 'Content-Type': 'text/html; charset=UTF-8' })
}

/** Upload tools print the reason phrase and nothing else of a refusal. */
function asReasonPhrase(error: unknown): never {
  if (!(error instanceof Refusal) || error.form !== 'message') throw error
  throw new Refusal(error.kind, error.message, { form: 'reason', headers: error.headers, cause: error })
}
