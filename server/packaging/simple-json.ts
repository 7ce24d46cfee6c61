import { joinPage } from './page-bytes.js'
import {
  SIMPLE_API_VERSION,
  type Hashes,
  type ProjectList,
  type ProjectPage,
  type ProjectStatus,
  type SimpleFile,
} from './simple-page.js'
import { utcTime } from './utc-time.js'

/** What stands before the files of a project page. */
export type ProjectJsonHead = Omit<ProjectPage, 'files'>

/** Stands between two files, and between two names of a list. */
export const JSON_SEPARATOR = ','

/** The whole page; the pieces below make the same bytes. */
export function renderProjectJson(page: ProjectPage): Buffer {
  return joinPage({
    open: openProjectJson(page),
    items: page.files,
    render: renderFileJson,
    separator: JSON_SEPARATOR,
    close: CLOSE_PROJECT_JSON,
  })
}

/** PEP 691, with the versions of PEP 700 and the status of PEP 792. */
export function openProjectJson(head: ProjectJsonHead): string {
  return (
    `{"meta":${meta(head.lastSerial)},"name":${quote(head.name)}` +
    projectStatus(head.projectStatus) +
    `,"versions":[${head.versions.map(quote).join(',')}],"files":[`
  )
}

/**
 * The object of one file, which depends on nothing but the file. One template
 * takes half the time of as many additions, and pages have thousands of files.
 */
export function renderFileJson(file: SimpleFile): string {
  const { filename, url, requiresPython, size, uploadTime, yanked, coreMetadata, provenance } = file
  const python = requiresPython ? `,"requires-python":${quote(requiresPython)}` : ''
  const bytes = size === undefined ? '' : `,"size":${size}`
  // PEP 700: RFC 3339 in UTC.
  const time = uploadTime === undefined ? '' : `,"upload-time":"${utcTime(uploadTime)}"`
  const withdrawn = yanked === undefined ? '' : `,"yanked":${yankedValue(yanked)}`
  const metadata = coreMetadata === undefined ? '' : coreMetadataMembers(coreMetadata)
  const attested = provenance === undefined ? '' : `,"provenance":${quote(provenance)}`
  return `{"filename":${quote(filename)},"url":${quote(url)},"hashes":${hashesObject(file.hashes)}${python}${bytes}${time}${withdrawn}${metadata}${attested}}`
}

export const CLOSE_PROJECT_JSON = ']}\n'

/** The whole list; the pieces below make the same bytes. */
export function renderListJson(list: ProjectList): Buffer {
  return joinPage({
    open: openListJson(list.lastSerial),
    items: list.projects,
    render: ({ name }) => renderNameJson(name),
    separator: JSON_SEPARATOR,
    close: CLOSE_LIST_JSON,
  })
}

/** `lastSerial` is the upstream's, where it gives one. */
export function openListJson(lastSerial?: number): string {
  return `{"meta":${meta(lastSerial)},"projects":[`
}

export function renderNameJson(name: string): string {
  return `{"name":${quote(name)}}`
}

export const CLOSE_LIST_JSON = ']}\n'

function meta(lastSerial: number | undefined): string {
  const serial = lastSerial === undefined ? '' : `"_last-serial":${lastSerial},`
  return `{${serial}"api-version":"${SIMPLE_API_VERSION}"}`
}

function projectStatus(status: ProjectStatus | undefined): string {
  if (status === undefined) return ''
  const reason = status.reason === undefined ? '' : `,"reason":${quote(status.reason)}`
  return `,"project-status":{"status":"${status.status}"${reason}}`
}

/** PEP 691 wants a value that counts as true, which an empty reason does not. */
function yankedValue(reason: true | string): string {
  return reason === true || reason === '' ? 'true' : quote(reason)
}

/**
 * PEP 714 renamed it because pip 22.3 to 23.0 fail on an object under the older name, `dist-info-metadata`; the alias
 * here is the one of the public index, which they pass over.
 */
function coreMetadataMembers(stated: true | Hashes): string {
  const hashes = stated === true ? '{}' : hashesObject(stated)
  const value = hashes === '{}' ? 'true' : hashes
  return `,"core-metadata":${value},"data-dist-info-metadata":${value}`
}

/** Names and digests are plain, see `Hashes`. */
function hashesObject(hashes: Hashes): string {
  let written = ''
  for (const algorithm in hashes) {
    const member = `"${algorithm}":"${hashes[algorithm] ?? ''}"`
    written = written === '' ? member : `${written},${member}`
  }
  return `{${written}}`
}

/** What JSON cannot hold as it is; half a surrogate pair would be no UTF-8. */
const NEEDS_ESCAPE = /["\\\u0000-\u001f\ud800-\udfff]/

function quote(text: string): string {
  return NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`
}
