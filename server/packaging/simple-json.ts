import {
  SIMPLE_API_VERSION,
  type Hashes,
  type ProjectList,
  type ProjectPage,
  type ProjectStatus,
  type SimpleFile,
} from './simple-page.js'

/** What stands before the files of a project page. */
export type ProjectJsonHead = Omit<ProjectPage, 'files'>

/** Stands between two files, and between two names of a list. */
export const JSON_SEPARATOR = ','

/** The whole page in one string; the pieces below make the same bytes. */
export function renderProjectJson(page: ProjectPage): string {
  let written = openProjectJson(page)
  let separator = ''
  for (const file of page.files) {
    written += separator + renderFileJson(file)
    separator = JSON_SEPARATOR
  }
  return written + CLOSE_PROJECT_JSON
}

/** PEP 691, with the versions of PEP 700 and the status of PEP 792. */
export function openProjectJson(head: ProjectJsonHead): string {
  return (
    `{"meta":${meta(head.lastSerial)},"name":${quote(head.name)}` +
    projectStatus(head.projectStatus) +
    `,"versions":[${head.versions.map(quote).join(',')}],"files":[`
  )
}

/** The object of one file, which depends on nothing but the file. */
export function renderFileJson(file: SimpleFile): string {
  let written = '{"filename":' + quote(file.filename) + ',"url":' + quote(file.url) + ',"hashes":' + hashesObject(file.hashes)
  if (file.requiresPython) written += ',"requires-python":' + quote(file.requiresPython)
  if (file.size !== undefined) written += ',"size":' + file.size
  if (file.uploadTime !== undefined) written += ',"upload-time":"' + new Date(file.uploadTime).toISOString() + '"'
  if (file.yanked !== undefined) {
    // Of the JSON form PEP 691 wants a value that counts as true, which an empty reason does not.
    written += ',"yanked":' + (file.yanked === true || file.yanked === '' ? 'true' : quote(file.yanked))
  }
  if (file.coreMetadata !== undefined) {
    const stated = coreMetadata(file.coreMetadata)
    written += ',"core-metadata":' + stated + ',"dist-info-metadata":' + stated
  }
  if (file.provenance !== undefined) written += ',"provenance":' + quote(file.provenance)
  return written + '}'
}

export const CLOSE_PROJECT_JSON = ']}\n'

/** The whole list in one string; the pieces below make the same bytes. */
export function renderListJson(list: ProjectList): string {
  return openListJson(list.lastSerial) + list.projects.map(({ name }) => renderNameJson(name)).join(JSON_SEPARATOR) + CLOSE_LIST_JSON
}

/** `lastSerial` is the upstream's, where it gives one. */
export function openListJson(lastSerial?: number): string {
  return `{"meta":${meta(lastSerial)},"projects":[`
}

export function renderNameJson(name: string): string {
  return '{"name":' + quote(name) + '}'
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

function coreMetadata(stated: true | Hashes): string {
  return stated === true || isEmpty(stated) ? 'true' : hashesObject(stated)
}

function hashesObject(hashes: Hashes): string {
  let written = ''
  for (const algorithm in hashes) {
    written += (written === '' ? '' : ',') + quote(algorithm) + ':' + quote(hashes[algorithm] ?? '')
  }
  return '{' + written + '}'
}

function isEmpty(hashes: Hashes): boolean {
  for (const _ in hashes) return false
  return true
}

/** What JSON cannot hold as it is; half a surrogate pair would be no UTF-8. */
const NEEDS_ESCAPE = /["\\\u0000-\u001f\ud800-\udfff]/

function quote(text: string): string {
  return NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : '"' + text + '"'
}
