import { escapeHtml, html } from './html.js'
import { joinPage } from './page-bytes.js'
import {
  SIMPLE_API_VERSION,
  type Hashes,
  type ProjectList,
  type ProjectPage,
  type ProjectStatus,
  type SimpleFile,
} from './simple-page.js'

/** What stands above the links of a project page. */
export interface ProjectHtmlHead {
  /** `{user}/{index}: links for {project}`. */
  readonly title: string
  readonly projectStatus?: ProjectStatus
  /** A button for people, that makes the mirrors ask their upstream again. `action` is a URL. */
  readonly refresh?: { readonly action: string; readonly label: string }
  /** The mirror, `user/index`, whose files the whitelist keeps off this page. */
  readonly blockedMirror?: string
}

/** The whole page; the pieces below make the same bytes. */
export function renderProjectHtml(head: ProjectHtmlHead, page: ProjectPage): Buffer {
  const { projectStatus } = page
  return joinPage({
    open: openProjectHtml(projectStatus === undefined ? head : { projectStatus, ...head }),
    items: page.files,
    render: renderFileHtml,
    separator: '',
    close: CLOSE_PROJECT_HTML,
  })
}

/** PEP 503 and 629; the status is told as PEP 792 has it. */
export function openProjectHtml(head: ProjectHtmlHead): string {
  return openPage(head.title, statusTags(head.projectStatus)) + refreshForm(head.refresh) + blockedNote(head.blockedMirror)
}

/**
 * The line of one file, which depends on nothing but the file: PEP 503 with
 * the attributes of PEP 592 (yanked), 658 and 714 (core metadata) and 740 (provenance).
 */
export function renderFileHtml(file: SimpleFile): string {
  const owner = file.owner === undefined ? '' : `${escapeHtml(file.owner)} `
  let line = `${owner}<a href="${escapeHtml(file.url)}${fragment(file.hashes)}"`
  if (file.requiresPython) line += ` data-requires-python="${escapeHtml(file.requiresPython)}"`
  if (file.yanked !== undefined) line += ` data-yanked="${file.yanked === true ? '' : escapeHtml(file.yanked)}"`
  if (file.coreMetadata !== undefined) {
    const stated = escapeHtml((file.coreMetadata === true ? undefined : statedHash(file.coreMetadata)) ?? 'true')
    line += ` data-core-metadata="${stated}" data-dist-info-metadata="${stated}"`
  }
  if (file.provenance !== undefined) line += ` data-provenance="${escapeHtml(file.provenance)}"`
  return `${line}>${escapeHtml(file.filename)}</a><br>\n`
}

export const CLOSE_PROJECT_HTML = '</body></html>\n'

/** The whole list of one index without headings; the pieces below make the same bytes. */
export function renderListHtml(title: string, list: ProjectList): Buffer {
  return joinPage({
    open: openListHtml(title),
    items: list.projects,
    render: ({ name }) => renderProjectLine(name),
    separator: '',
    close: CLOSE_LIST_HTML,
  })
}

/** `title` is `{user}/{index}: simple list (including inherited indices)`. */
export function openListHtml(title: string): string {
  return openPage(title, '')
}

/** Stands before the names that come from one index; for people only. */
export function renderIndexHeading(index: string, bases: readonly string[]): string {
  const inherited = bases.length === 0 ? '' : ` (bases: ${bases.join(',')})`
  return html`<h2>${index}${inherited}</h2>` + '\n'
}

/** `name` is in normal form, so it needs no percent-encoding. */
export function renderProjectLine(name: string): string {
  const escaped = escapeHtml(name)
  return `<a href="${escaped}/">${escaped}</a><br>\n`
}

export const CLOSE_LIST_HTML = '</body></html>\n'

function openPage(title: string, moreTags: string): string {
  return (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">' +
    html`<meta name="pypi:repository-version" content="${SIMPLE_API_VERSION}">` +
    moreTags +
    html`<title>${title}</title></head><body><h1>${title}</h1>` +
    '\n'
  )
}

function statusTags(status: ProjectStatus | undefined): string {
  if (status === undefined) return ''
  const reason = status.reason === undefined ? '' : html`<meta name="pypi:project-status-reason" content="${status.reason}">`
  return html`<meta name="pypi:project-status" content="${status.status}">` + reason
}

function refreshForm(refresh: ProjectHtmlHead['refresh']): string {
  if (refresh === undefined) return ''
  return (
    html`<form action="${refresh.action}" method="post">` +
    html`<input name="refresh" type="submit" value="${refresh.label}"></form>` +
    '\n'
  )
}

function blockedNote(mirror: string | undefined): string {
  if (mirror === undefined) return ''
  return (
    `<p><strong>INFO:</strong> Because this project isn't in the <code>mirror_whitelist</code>, ` +
    html`no releases from <strong>${mirror}</strong> are included.</p>` +
    '\n'
  )
}

function fragment(hashes: Hashes): string {
  const stated = statedHash(hashes)
  return stated === undefined ? '' : `#${escapeHtml(stated)}`
}

/** `{algorithm}={hex}`: HTML has room for one. sha256 is the one every installer knows. */
function statedHash(hashes: Hashes): string | undefined {
  const sha256 = hashes['sha256']
  if (sha256 !== undefined) return `sha256=${sha256}`
  const algorithm = PREFERRED.find((name) => hashes[name] !== undefined) ?? Object.keys(hashes)[0]
  return algorithm === undefined ? undefined : `${algorithm}=${hashes[algorithm]}`
}

/** Strongest first, as far as `hashlib` guarantees them everywhere. */
const PREFERRED = ['sha512', 'sha384', 'sha3_256', 'sha3_512', 'sha224', 'sha1', 'md5']
