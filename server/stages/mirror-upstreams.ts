import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { upstreamUrls } from '#server/commands/mirror-differences.js'
import { type AskedMirror, isSameMirror } from '#server/commands/mirrors.js'
import { credentialsIn } from '#server/commands/upstream-credentials.js'
import type { Storage } from '#server/storage/storage.js'
import { secretNames } from '#server/storage/vault.js'
import type { Upstream } from '#server/upstream/client.js'

/** An upstream of a mirror; `name` is its URL as the settings have it. */
export interface MirrorUpstream extends Upstream {
  readonly name: string
}

/**
 * Whom to ask for a mirror, in order, with what the vault has for each. Refuses
 * `upstream-failed` a mirror that has no usable URL, and `not-found` one that
 * is no more what it was: the credentials of its present upstreams are not for former ones.
 */
export async function upstreamsOf(storage: Storage, mirror: AskedMirror): Promise<readonly MirrorUpstream[]> {
  const { user, index, value } = mirror
  if (!isSameMirror(await storage.reader().get(keys.index(mirror)), value)) {
    throw new Refusal('not-found', `what mirror ${user}/${index} had from another upstream is not kept here`)
  }
  const credentials = credentialsIn(storage.vault.get(secretNames.upstream(user, index)), value)
  const usable = upstreamUrls(value).flatMap((name): MirrorUpstream[] => {
    const url = askedUrl(name)
    const own = credentials.get(name)
    return url === undefined ? [] : [own === undefined ? { name, url } : { name, url, credentials: own }]
  })
  if (usable.length === 0) throw new Refusal('upstream-failed', `mirror ${user}/${index} has no mirror_url to ask`)
  return usable
}

/** The upstream that told of something; without credentials, where it is none of the mirror any more. */
export function upstreamNamed(upstreams: readonly MirrorUpstream[], name: string): MirrorUpstream | undefined {
  const url = askedUrl(name)
  return upstreams.find((upstream) => upstream.name === name) ?? (url && { name, url })
}

/** With a slash at the end of its path; undefined for what is no URL of the web. */
function askedUrl(stated: string): URL | undefined {
  const url = URL.canParse(stated) ? new URL(stated) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) return undefined
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  url.search = ''
  url.hash = ''
  return url
}
