import { sortVersionsDescending } from '#log-format/version.js'
import type { Client } from './client.js'
import { type JsonObject, listOf, objectOf, textOf } from './json.js'
import type { IndexTarget } from './place.js'
import { address } from './urls.js'

/** A file that stands in a release, or was made for one of its files. */
export interface ProjectLink {
  readonly rel: string
  readonly href: string
  readonly basename: string
  /** sha256 in hex; undefined when the server announces none. */
  readonly sha256: string | undefined
  /** The file that a test report is about. */
  readonly forHref: string | undefined
  readonly yanked: string | true | undefined
  readonly log: readonly JsonObject[]
}

/** A version as one index has it. */
export interface ProjectRelease {
  readonly version: string
  readonly links: readonly ProjectLink[]
  /** The whole version, with or without a reason. */
  readonly yanked: string | true | undefined
}

/** A version with the copies of it that indexes behind the first one have. */
export interface ProjectVersion extends ProjectRelease {
  readonly shadowed: readonly ProjectRelease[]
}

/** All versions of a project, the newest first. */
export async function readProject(client: Client, { index }: IndexTarget, project: string, query = ''): Promise<ProjectVersion[]> {
  const url = `${address(index, project)}/`
  const reply = await client.api('GET', url + query, { type: 'projectconfig' })
  const result = objectOf(reply.json?.['result'])
  return sortVersionsDescending(Object.keys(result)).map((version) => {
    const found = objectOf(result[version])
    const shadowed = listOf(found['+shadowing']).map((one) => releaseOf(objectOf(one), version, url))
    return { ...releaseOf(found, version, url), shadowed }
  })
}

function releaseOf(found: JsonObject, version: string, base: string): ProjectRelease {
  const links = listOf(found['+links']).flatMap((link) => linkOf(objectOf(link), base) ?? [])
  return { version: textOf(found['version']) ?? version, links: links.sort(byBasename), yanked: yankOf(found['yanked']) }
}

function linkOf(link: JsonObject, base: string): ProjectLink | undefined {
  const href = textOf(link['href'])
  const rel = textOf(link['rel'])
  if (href === undefined || rel === undefined || !URL.canParse(href, base)) return undefined
  const url = new URL(href, base)
  url.hash = ''
  const forHref = textOf(link['for_href'])
  return {
    rel,
    href: url.href,
    basename: decodeURIComponent(url.pathname.slice(url.pathname.lastIndexOf('/') + 1)),
    sha256: textOf(objectOf(link['hashes'])['sha256']) ?? /^sha256=([0-9a-f]{64})$/.exec(textOf(link['hash_spec']) ?? '')?.[1],
    forHref: forHref === undefined || !URL.canParse(forHref, base) ? undefined : new URL(forHref, base).href,
    yanked: yankOf(link['yanked']),
    log: listOf(link['log']).map(objectOf),
  }
}

function yankOf(value: unknown): string | true | undefined {
  return value === true || typeof value === 'string' ? value : undefined
}

function byBasename(a: ProjectLink, b: ProjectLink): number {
  return a.basename < b.basename ? -1 : a.basename > b.basename ? 1 : 0
}

export function releaseFiles({ links }: ProjectRelease): ProjectLink[] {
  return links.filter(({ rel }) => rel === 'releasefile')
}

/** Whether a file lies on this very index rather than on one it inherits from. */
export function isOn({ href }: ProjectLink, { index }: IndexTarget): boolean {
  return href.startsWith(`${index}/`)
}
