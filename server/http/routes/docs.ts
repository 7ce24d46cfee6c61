import { type Request, type RequestHandler, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { IndexValue } from '#log-format/values.js'
import { ANONYMOUS } from '#server/auth/caller.js'
import { allows } from '#server/auth/permissions.js'
import { requireIndex, type VersionRef } from '#server/commands/lookups.js'
import { mediaTypeOf } from '#server/packaging/media-type.js'
import { docsBlobs } from '#server/stages/docs.js'
import { authorizeRead } from '#server/commands/read-rights.js'
import type { Reader } from '#server/storage/reader.js'
import { callerOf } from '../authenticate.js'
import { etagMatches } from '../caching.js'
import type { Deps } from '../deps.js'
import type { DocsLease } from '../docs-archives.js'
import { sendDocsFile } from '../docs-body.js'
import { mount } from '../methods.js'
import type { DocsFile } from '../open-docs.js'
import { versionPath } from '../params.js'
import { redirectTo } from '../redirect.js'
import { setSerial } from '../respond.js'
import { joinUrl } from '../urls.js'

/** The files of a documentation as they are, and where a frame around them belongs; both answer alike. */
const PLACES = ['+doc', '+d'] as const
type Place = (typeof PLACES)[number]

/** Uploaded documentation, served out of its zip. */
export function docsRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  for (const place of PLACES) {
    const get: RequestHandler = (request, response) => showDocs(deps, request, response, place)
    mount(router, `/:user/:index/:project/:version/\\${place}{/}`, { get })
    mount(router, `/:user/:index/:project/:version/\\${place}/*path`, { get })
  }
  return router
}

async function showDocs(deps: Deps, request: Request, response: Response, place: Place): Promise<void> {
  const ref = versionPath(request.params)
  const parts = partsOf(request)
  const toPath = (...below: readonly string[]): void => {
    redirectTo(deps, request, response, joinUrl('', ref.user, ref.index, ref.project, ref.version, place, ...below))
  }
  if (request.params['project'] !== ref.project) {
    toPath(...(parts.length === 0 ? [''] : parts))
    return
  }

  const reader = deps.storage.reader()
  const value = await requireIndex(reader, ref)
  const settings = await authorizeRead(reader, reader, { ...ref, value }, await callerOf(deps, request))
  setSerial(response, reader.serial)
  const found = await findDocs(deps, reader, ref)
  using docs = found.docs
  const path = parts.join('/')
  const named = path.endsWith('/') ? `${path}index.html` : path
  const file = docs.file(named)
  if (file !== undefined) await sendDocs(deps, request, response, { ref, settings, sha256: found.sha256, path: named, file })
  else if (path === '') toPath('index.html')
  else if (docs.file(`${path}/index.html`) !== undefined) toPath(...parts, '')
  else throw new Refusal('not-found', `File ${path} not found in documentation.`)
}

interface ShownFile {
  readonly ref: VersionRef
  readonly settings: IndexValue
  /** Of the zip. */
  readonly sha256: string
  readonly path: string
  readonly file: DocsFile
}

async function sendDocs(deps: Deps, request: Request, response: Response, shown: ShownFile): Promise<void> {
  const { ref, settings, sha256, path, file } = shown
  const isOpen = allows(ANONYMOUS, 'read', { user: ref.user, index: settings, indexName: ref.index })
  const headers = { ...(isOpen ? OPEN_HEADERS : RESTRICTED_HEADERS), ETag: etagOf(sha256, file) }
  if (etagMatches(request.headers['if-none-match'], headers.ETag)) {
    response.writeHead(304, headers).end()
    return
  }
  await sendDocsFile(request, response, file, {
    headers: { ...headers, 'Content-Type': mediaTypeOf(path) },
    idleTimeoutMs: deps.limits.idleTimeoutMs,
  })
}

/** Of the address below `+doc/`; the last one is empty when it ends in a slash, none stands for the top. */
function partsOf({ params }: Request): readonly string[] {
  const { path } = params
  return path === undefined ? [] : Array.isArray(path) ? path : [path]
}

interface FoundDocs {
  readonly docs: DocsLease
  readonly sha256: string
}

/** A zip without a page to start with is no documentation, and an older one may be. */
async function findDocs(deps: Deps, reader: Reader, ref: VersionRef): Promise<FoundDocs> {
  for await (const sha256 of docsBlobs(reader, ref)) {
    const docs = await deps.docs.lease(sha256)
    if (docs !== undefined) return { docs, sha256 }
  }
  throw new Refusal('not-found', `No ${ref.version === 'stable' ? 'stable ' : ''}documentation available.`)
}

/** Strong: the zip decides all bytes of the file, and the checksum which of its files it is. */
function etagOf(sha256: string, { crc }: DocsFile): string {
  return `"${sha256.slice(0, 32)}-${crc.toString(16).padStart(8, '0')}"`
}

/**
 * Documentation is somebody else's HTML with scripts. The sandbox gives it an
 * origin of its own: it sees no reply of this server, and what it posts comes
 * with `Origin: null`, which is refused.
 */
const SANDBOX_HEADERS = {
  'Content-Security-Policy':
    'sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox allow-forms allow-downloads',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'cross-origin', // its own pages are another origin to it
} as const

/** What everybody may read is also for fonts, modules and searches, which ask from that other origin. */
const OPEN_HEADERS = { ...SANDBOX_HEADERS, 'Cache-Control': 'max-age=60', 'Access-Control-Allow-Origin': '*' } as const

const RESTRICTED_HEADERS = { ...SANDBOX_HEADERS, 'Cache-Control': 'private, max-age=60' } as const
