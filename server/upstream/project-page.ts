import { Refusal } from '#log-format/api/refusal.js'
import { parseSimpleJson } from '#server/packaging/simple-json-parser.js'
import type { SimpleFile } from '#server/packaging/simple-page.js'
import type { Upstream, UpstreamClient, UpstreamReply, UpstreamRequest } from './client.js'

/** What makes a page cheap to ask for again, as the upstream gave it. */
export interface PageValidators {
  readonly etag?: string
  readonly lastModified?: string
}

export type FetchedPage =
  /** `url` of each file is absolute. */
  | { readonly kind: 'page'; readonly files: readonly SimpleFile[]; readonly validators: PageValidators }
  | { readonly kind: 'not-modified' }
  | { readonly kind: 'absent' }

const SIMPLE_JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
const ACCEPT = `${SIMPLE_JSON_TYPE}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01`
/** A validator is sent back as it came; a longer one is not worth its room. */
const MOST_VALIDATOR_LENGTH = 500

/** Asks an upstream for the page of a project, in normal form. Refuses `upstream-failed` whatever is neither a page nor its absence. */
export async function fetchProjectPage(
  client: UpstreamClient,
  input: { readonly upstream: Upstream; readonly project: string; readonly validators: PageValidators } & Pick<UpstreamRequest, 'signal' | 'answerMs'>,
): Promise<FetchedPage> {
  const { upstream, project, validators, ...limits } = input
  const reply = await client.open({ upstream, url: new URL(`${project}/`, upstream.url), headers: askingHeaders(validators), ...limits })
  if (reply.status !== 200) {
    reply.body.destroy()
    if (reply.status === 304 && Object.keys(validators).length > 0) return { kind: 'not-modified' }
    if (reply.status === 404 || reply.status === 410) return { kind: 'absent' }
    throw new Refusal('upstream-failed', `${reply.url.host} answered ${reply.status} for the page of ${project}`)
  }
  const text = await client.pages.read(reply)
  return {
    kind: 'page',
    files: isSimpleJson(reply) ? parseJson(text, reply.url) : await parseHtml(text, reply.url),
    validators: validatorsOf(reply),
  }
}

/** What a request for a page says of itself. */
export function askingHeaders({ etag, lastModified }: PageValidators): Readonly<Record<string, string>> {
  return {
    accept: ACCEPT,
    'accept-encoding': 'gzip, br',
    ...(etag !== undefined && { 'if-none-match': etag }),
    ...(lastModified !== undefined && { 'if-modified-since': lastModified }),
  }
}

/** Whether a page came as JSON; whatever else it is called, it is read as HTML. */
export function isSimpleJson({ headers }: Pick<UpstreamReply, 'headers'>): boolean {
  const [type = ''] = (headers['content-type'] ?? '').split(';', 1)
  return type.trim().toLowerCase() === SIMPLE_JSON_TYPE
}

export function validatorsOf({ headers }: Pick<UpstreamReply, 'headers'>): PageValidators {
  return { ...validator('etag', headers.etag), ...validator('lastModified', headers['last-modified']) }
}

function parseJson(text: string, page: URL): SimpleFile[] {
  return absolute(parseSimpleJson(text).files, page)
}

async function parseHtml(text: string, page: URL): Promise<SimpleFile[]> {
  const { parseProjectHtml } = await import('#server/packaging/simple-html-parser.js') // most upstreams speak JSON, and most servers start without asking one
  const { files, base } = parseProjectHtml(text)
  const stated = base !== undefined && URL.canParse(base, page.href) ? new URL(base, page) : page
  return absolute(files, /^https?:$/.test(stated.protocol) ? stated : page) // as browsers have it
}

/** A URL that is already as `URL` would write it. */
const PLAIN_URL = /^https?:\/\/(?:[a-z0-9]+\.)+[a-z]+\/(?:[\w~+-][\w.~+-]*\/)*[\w~+-][\w.~+-]*$/

/** Files whose URL is of the web; one that is not leads nowhere. Credentials in it are not for everybody. */
function absolute(files: readonly SimpleFile[], base: URL): SimpleFile[] {
  return files.flatMap((file) => {
    if (file.provenance === undefined && PLAIN_URL.test(file.url)) return [file]
    if (!URL.canParse(file.url, base.href)) return []
    const url = new URL(file.url, base)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return []
    url.username = ''
    url.password = ''
    const { provenance, ...rest } = file
    const isLink = provenance !== undefined && URL.canParse(provenance, base.href)
    return [{ ...rest, url: url.href, ...(isLink && { provenance: new URL(provenance, base).href }) }]
  })
}

function validator(name: keyof PageValidators, value: string | undefined): PageValidators {
  return value === undefined || value.length > MOST_VALIDATOR_LENGTH ? {} : { [name]: value }
}
