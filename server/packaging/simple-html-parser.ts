import { Parser } from 'htmlparser2'
import { Refusal } from '#log-format/api/refusal.js'
import { PAGE_LIMITS } from './simple-json-parser.js'
import type { Hashes, SimpleFile } from './simple-page.js'

/** What the links of a project page say. */
export interface LinkedFiles {
  /** As the page has them, each file name once; URLs as written, without fragment. */
  readonly files: readonly SimpleFile[]
  /** Of `<base href>`: what relative URLs start from, instead of the page. */
  readonly base?: string
}

/**
 * Reads the HTML form of a project page (PEP 503, 592, 629, 658, 714). Anchors
 * that lead to no file by http or https are passed over: pages have links for
 * people, too. Of several links to one file name the first with a hash counts.
 * Refuses `upstream-failed` another major version of the form, and more than anybody needs.
 */
export function parseProjectHtml(text: string): LinkedFiles {
  if (text.length > PAGE_LIMITS.text) throw unusable(`is longer than ${PAGE_LIMITS.text} characters`)
  const files = new Map<string, SimpleFile>()
  let base: string | undefined
  const parser = new Parser({
    onopentag: (name, attributes) => {
      if (name === 'base') base ??= attributes['href']
      if (name === 'meta' && attributes['name'] === 'pypi:repository-version') checkRepositoryVersion(attributes['content'] ?? '')
      if (name !== 'a') return
      const file = fileOf(attributes)
      if (file === undefined) return
      const before = files.get(file.filename)
      if (before === undefined || (!hasHash(before) && hasHash(file))) files.set(file.filename, file)
      if (files.size > PAGE_LIMITS.files) throw unusable(`has more than ${PAGE_LIMITS.files} files`)
    },
  })
  parser.write(text)
  parser.end()
  return { files: [...files.values()], ...(base !== undefined && base !== '' && { base }) }
}

type Attributes = Readonly<Record<string, string>>

function fileOf(attributes: Attributes): SimpleFile | undefined {
  const href = attributes['href']?.trim() ?? ''
  if (href === '' || href.length > PAGE_LIMITS.url) return undefined
  const [url, fragment] = splitAt(href, '#')
  if (url === '' || /[\s\\\p{Cc}\p{Cs}]/u.test(url)) return undefined
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') return undefined
  const filename = filenameOf(url)
  if (filename === undefined) return undefined
  const requiresPython = shortText(attributes['data-requires-python'])
  const yanked = attributes['data-yanked']?.slice(0, PAGE_LIMITS.string)
  const metadata = attributes['data-core-metadata'] ?? attributes['data-dist-info-metadata']
  return {
    filename,
    url,
    hashes: hashesOf(fragment),
    ...(requiresPython && { requiresPython }),
    ...(yanked !== undefined && { yanked }),
    ...(metadata !== undefined && metadata !== 'false' && { coreMetadata: metadataOf(metadata) }),
  }
}

function filenameOf(url: string): string | undefined {
  const [path = ''] = url.split('?', 1)
  try {
    const filename = decodeURIComponent(path.slice(path.lastIndexOf('/') + 1))
    return filename === '' || filename.length > PAGE_LIMITS.filename ? undefined : filename
  } catch {
    return undefined // half a percent-encoding names no file
  }
}

/** `sha256=…`, maybe among other things that pip reads from a fragment. */
function hashesOf(fragment: string): Hashes {
  const hashes: Record<string, string> = {}
  for (const [, algorithm = '', digest = ''] of fragment.matchAll(/(?:^|&)(sha256|md5|sha1|sha384|sha512)=([0-9a-f]{1,256})(?=&|$)/gi)) {
    hashes[algorithm.toLowerCase()] = digest.toLowerCase()
  }
  return hashes
}

function metadataOf(stated: string): true | Hashes {
  const hashes = hashesOf(stated)
  return Object.keys(hashes).length === 0 ? true : hashes
}

function hasHash({ hashes }: SimpleFile): boolean {
  return Object.keys(hashes).length > 0
}

function shortText(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= PAGE_LIMITS.string ? text : undefined
}

/** PEP 629: only another major number would be misread. */
export function checkRepositoryVersion(stated: string): void {
  if (!/^1\.[0-9]+$/.test(stated)) throw unusable(`has version ${JSON.stringify(stated.slice(0, 20))} of the simple API, not 1.x`)
}

function splitAt(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function unusable(what: string): Refusal {
  return new Refusal('upstream-failed', `the simple page of the upstream ${what}`)
}
