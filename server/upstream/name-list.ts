import { Refusal } from '#log-format/api/refusal.js'
import type { NameListHtml } from '#server/packaging/name-list-html.js'
import { NameListJson } from '#server/packaging/name-list-json.js'
import { LONGEST_PROJECT_NAME } from '#server/packaging/project-name.js'
import { PAGE_LIMITS } from '#server/packaging/simple-json-parser.js'
import { SortedNames } from '#server/packaging/sorted-names.js'
import type { Upstream, UpstreamClient, UpstreamReply, UpstreamRequest } from './client.js'
import { unpack } from './page-reader.js'
import { askingHeaders, isSimpleJson, type PageValidators, validatorsOf } from './project-page.js'

export type FetchedNames =
  /** Of all projects, in normal form. */
  | { readonly kind: 'names'; readonly names: SortedNames; readonly validators: PageValidators }
  | { readonly kind: 'not-modified' }

/** Of a list, unpacked: three times the largest one known. */
const MOST_BYTES = 128 * 1024 * 1024

/** Asks an upstream for the names of all its projects; they are read as they come. Refuses `upstream-failed` whatever is no such list. */
export async function fetchNameList(
  client: UpstreamClient,
  { upstream, validators, ...limits }: { readonly upstream: Upstream; readonly validators: PageValidators } & Pick<UpstreamRequest, 'signal' | 'answerMs'>,
): Promise<FetchedNames> {
  const reply = await client.open({ upstream, url: upstream.url, headers: askingHeaders(validators), ...limits })
  if (reply.status !== 200) {
    reply.body.destroy()
    if (reply.status === 304 && Object.keys(validators).length > 0) return { kind: 'not-modified' }
    throw new Refusal('upstream-failed', `${reply.url.host} answered ${reply.status} for the list of its projects`)
  }
  return { kind: 'names', names: await readNames(reply), validators: validatorsOf(reply) }
}

async function readNames(reply: UpstreamReply): Promise<SortedNames> {
  const { body, headers, url } = reply
  const unpacked = unpack(body, headers['content-encoding'] ?? 'identity')
  if (unpacked === undefined) {
    body.destroy()
    throw new Refusal('upstream-failed', `${url.host} answered in an encoding that nobody asked for`)
  }
  const reader = isSimpleJson(reply) ? new NameListJson() : await htmlReader(url)
  const decoder = new TextDecoder()
  const sorted = new SortedNames()
  let bytes = 0
  let count = 0
  const take = (names: readonly string[]): void => {
    count += names.length
    if (count > PAGE_LIMITS.projects) throw new Refusal('upstream-failed', `${url.host} lists more than ${PAGE_LIMITS.projects} projects`)
    sorted.add(names.filter((name) => name.length <= LONGEST_PROJECT_NAME))
  }
  try {
    for await (const chunk of unpacked as AsyncIterable<Uint8Array>) {
      bytes += chunk.length
      if (bytes > MOST_BYTES) throw new Refusal('upstream-failed', `the list of projects at ${url.host} has more than ${MOST_BYTES} bytes`)
      take(reader.write(decoder.decode(chunk, { stream: true })))
    }
    take(reader.end())
    return sorted
  } catch (error) {
    if (error instanceof Refusal) throw error
    throw new Refusal('upstream-failed', `the list of projects of ${url.host} broke off`, { cause: error })
  } finally {
    unpacked.destroy()
    body.destroy()
  }
}

/** Most upstreams speak JSON, and most servers start without asking one. */
async function htmlReader(list: URL): Promise<NameListHtml> {
  const html = await import('#server/packaging/name-list-html.js')
  return new html.NameListHtml(list)
}
