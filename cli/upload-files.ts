import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { ATTESTATIONS_FEATURE, findAttestations, readAttestations } from './attestations.js'
import type { Context } from './base-command.js'
import { fileToSend } from './client.js'
import type { Distribution } from './dist-metadata.js'
import { Failure } from './failure.js'
import { mapParallel } from './parallel.js'
import type { IndexTarget } from './place.js'
import { Progress } from './progress.js'
import { type ProjectVersion, readProject } from './project.js'
import { messageOf, type Reply } from './reply.js'
import { normalizeName } from './requirement.js'
import { maskUrl } from './urls.js'

const TRIES = 3
const FIRST_WAIT_MS = 500
/** Passing faults of servers and proxies in front of them. */
export const PASSING = [429, 502, 503, 504]

export interface UploadOptions {
  readonly jobs: number
  readonly dryRun: boolean
  readonly skipExisting: boolean
}

/** How it went with one file; an entry of `uploads` with `--json`. */
export interface Uploaded {
  readonly file: string
  readonly action: Distribution['action']
  readonly status: number | null
  readonly ok: boolean
  readonly reason: string
  readonly sha256: string
  readonly skipped: boolean
  /** How many were sent along. */
  readonly attestations: number
}

/**
 * Uploads files, several at a time, documentation after the releases it is
 * for. One that is refused does not keep the others back; a login that has expired does.
 */
export async function uploadFiles(context: Context, target: IndexTarget, files: readonly Distribution[], options: UploadOptions): Promise<Uploaded[]> {
  const known = new Map<string, Promise<ReadonlySet<string>>>()
  const planned = await mapParallel(files, options.jobs, (file) => plan(context, target, file, { ...options, known }))
  using progress = new Progress(context, planned.reduce((sum, { size, isThere }) => sum + (isThere ? 0 : size), 0))
  const upload = (file: Planned): Promise<Uploaded> => uploadOne(context, target, file, { ...options, progress })
  const releases = planned.filter(({ action }) => action === 'file_upload')
  const docs = planned.filter(({ action }) => action === 'doc_upload')
  if (!options.dryRun) announceReleases(context, target, releases)
  tellOfAttestations(context, target, releases)
  return [...(await mapParallel(releases, options.jobs, upload)), ...(await mapParallel(docs, options.jobs, upload))]
}

/** All that is to be known before the first upload begins, so that these begin, and are told of, in the order of the files. */
interface Planned extends Distribution {
  readonly size: number
  readonly sha256: string
  readonly isThere: boolean
  /** Paths of those that lie beside it. */
  readonly attestations: readonly string[]
}

interface Planning extends UploadOptions {
  /** Digests of the files that a project has, asked for once. */
  readonly known: Map<string, Promise<ReadonlySet<string>>>
}

async function plan(context: Context, target: IndexTarget, file: Distribution, { skipExisting, known }: Planning): Promise<Planned> {
  const { size } = await stat(file.path)
  const sha256 = await digestOf(file.path, context.surroundings.interrupted)
  const isThere = skipExisting && (await existing(context, target, file, known)).has(`${file.filename} ${sha256}`)
  return { ...file, size, sha256, isThere, attestations: await findAttestations(file.path) }
}

/** A line per release, as clients print that once registered each. */
function announceReleases({ terminal }: Context, target: IndexTarget, files: readonly Distribution[]): void {
  for (const release of new Set(files.map(({ name, version }) => `${name}-${version ?? ''}`))) terminal.info(`register ${release} to ${submitUrl(target)}`)
}

function tellOfAttestations({ terminal }: Context, target: IndexTarget, files: readonly Planned[]): void {
  const found = files.reduce((sum, { attestations }) => sum + attestations.length, 0)
  if (found > 0 && !takesAttestations(target)) terminal.note(`${found} ${found === 1 ? 'attestation is' : 'attestations are'} not sent: the server takes none`)
}

function takesAttestations({ features }: IndexTarget): boolean {
  return features.includes(ATTESTATIONS_FEATURE)
}

function submitUrl({ pypisubmit, index }: IndexTarget): string {
  return pypisubmit ?? `${index}/`
}

interface Running extends UploadOptions {
  readonly progress: Progress
}

async function uploadOne(context: Context, target: IndexTarget, file: Planned, running: Running): Promise<Uploaded> {
  const { terminal } = context
  const { progress } = running
  const url = submitUrl(target)
  const what = `${file.action} of ${file.filename} to ${url}`
  const { sha256, isThere } = file
  const attestations = takesAttestations(target) ? file.attestations : []
  const result = { file: file.path, action: file.action, sha256, attestations: 0 }
  progress.clear()
  if (running.dryRun || isThere) {
    terminal.line(`skipped: ${what}${isThere ? ', which has it already' : ''}`)
    return { ...result, status: null, ok: true, reason: isThere ? 'exists' : 'dry run', skipped: true }
  }
  terminal.info(what)
  let reply: Reply
  try {
    reply = await post(context, url, file, { ...running, attestations })
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'UPLOAD_FAILED') throw error
    terminal.error(error.message)
    return { ...result, status: null, ok: false, reason: error.message, skipped: false }
  }
  progress.clear()
  const reason = messageOf(reply) ?? reply.reason
  if (reply.status === 200 || reply.status === 201) return { ...result, status: reply.status, ok: true, reason, skipped: false, attestations: attestations.length }
  if (reply.status === 401 || reply.status === 403) {
    const failure = await context.client.refusal(reply)
    if (failure.code === 'LOGIN_EXPIRED') throw failure
  }
  terminal.error(`${reply.status} FAIL ${what}`)
  terminal.error(reason)
  return { ...result, status: reply.status, ok: false, reason, skipped: false }
}

interface Posting extends Running {
  readonly attestations: readonly string[]
}

/** The same file sent twice is one file, so it may be sent again after a fault that passes. */
async function post({ client, terminal, surroundings }: Context, url: string, file: Planned, { progress, attestations }: Posting): Promise<Reply> {
  const { size, sha256 } = file
  const attested = attestations.length === 0 ? [] : [['attestations', await readAttestations(attestations)] as const]
  const fields = [...file.fields, [':action', file.action], ['protocol_version', '1'], ['sha256_digest', sha256], ...attested] as const
  for (let attempt = 1; ; attempt++) {
    const isLast = attempt === TRIES
    try {
      const reply = await client.postForm(url, fields, fileToSend(file.path, file.filename, size), (bytes) => progress.set(file.path, Math.min(bytes, size)))
      if (isLast || !PASSING.includes(reply.status)) return reply
      terminal.debug(`${file.filename}: ${reply.status} ${reply.reason}, trying again`)
    } catch (error) {
      if (isLast || !(error instanceof Failure) || error.code !== 'CONNECT') throw error
      terminal.debug(`${file.filename}: ${error.message}, trying again`)
    }
    await sleep(FIRST_WAIT_MS * 2 ** (attempt - 1), undefined, { signal: surroundings.interrupted })
  }
}

/** `name digest` of every file that the index itself has of the project. */
function existing(context: Context, target: IndexTarget, { name }: Distribution, known: Planning['known']): Promise<ReadonlySet<string>> {
  const project = normalizeName(name)
  const asked = known.get(project) ?? filesOf(context, target, project)
  known.set(project, asked)
  return asked
}

async function filesOf({ client }: Context, target: IndexTarget, project: string): Promise<ReadonlySet<string>> {
  let versions: readonly ProjectVersion[]
  try {
    versions = await readProject(client, target, project, '?ignore_bases=')
  } catch (error) {
    if (error instanceof Failure && error.code === 'HTTP_404') return new Set()
    throw error
  }
  return new Set(versions.flatMap(({ links }) => links).map(({ basename, sha256 }) => `${basename} ${sha256 ?? ''}`))
}

/** Rejects when `interrupted` is aborted meanwhile: a large file takes its time. */
export async function digestOf(path: string, interrupted: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal: interrupted })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** Fails with `UPLOAD_FAILED` unless all files are there; tells how many are not. */
export function requireAll(target: IndexTarget, uploads: readonly Uploaded[], built: readonly string[]): { readonly index: string; readonly built: readonly string[]; readonly uploads: readonly Uploaded[]; readonly ok: boolean } {
  const failed = uploads.filter(({ ok }) => !ok)
  const result = { index: target.index, built, uploads, ok: failed.length === 0 }
  if (failed.length === 0) return result
  const nothingSent = uploads.every(({ sha256 }) => sha256 === '') // what cannot be read has none
  throw new Failure('UPLOAD_FAILED', nothingSent ? 'nothing was uploaded' : `POST to ${maskUrl(submitUrl(target))} FAILED`, { result, ...(uploads.length > 1 && { hint: `${failed.length} of ${uploads.length} files were not uploaded` }) })
}
