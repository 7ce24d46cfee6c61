import { createHash } from 'node:crypto'
import type { IndexRef } from '#server/commands/lookups.js'
import { utf8Bytes } from '#server/packaging/page-bytes.js'
import { CLOSE_PROJECT_HTML, openProjectHtml, renderFileHtml } from '#server/packaging/simple-html.js'
import { CLOSE_PROJECT_JSON, JSON_SEPARATOR, openProjectJson, renderFileJson } from '#server/packaging/simple-json.js'
import type { FileRun } from '#server/stages/live-project.js'
import type { Contribution } from '#server/stages/policies.js'
import { compareProjectVersions, type ProjectVersion, simpleFile } from '#server/stages/project-files.js'
import type { SimpleAnswer } from './negotiate.js'
import { type PageBody, pageBody } from './page-body.js'

/** How the links of a page begin. */
export interface LinkBase {
  /** Tells apart what leads to different bytes. */
  readonly key: string
  /** URL of the folder in which an index has its `+f/`, with a slash behind. */
  folderUrl(index: IndexRef): string
}

export interface ProjectPageInput {
  /** The index asked for. */
  readonly ref: IndexRef
  /** Normal form. */
  readonly project: string
  readonly links: LinkBase
  readonly answer: SimpleAnswer
  readonly contributions: readonly Contribution[]
}

/** Raise it when the same data gives other bytes: it is part of every ETag. */
const RENDERING = 1
/** URL bases and spellings kept for one run of files. */
const MOST_RENDERINGS = 6

const SEPARATOR = Buffer.from(JSON_SEPARATOR)

/** The bytes of a project page, put together from runs of files that are rendered once. */
export function renderProjectPage(input: ProjectPageInput): PageBody {
  const { ref, project, contributions, answer } = input
  const isJson = answer.spelling === 'json'
  const pieces: Buffer[] = []
  const taken = new Set<string>()
  for (const [at, contribution] of contributions.entries()) {
    const last = at === contributions.length - 1
    for (const run of contribution.snapshot.runs) {
      const bytes = renderRun(input, contribution, at === 0 ? run : withoutTaken(run, taken))
      if (isJson && pieces.length > 0 && bytes.length > 0) pieces.push(SEPARATOR)
      if (bytes.length > 0) pieces.push(bytes)
      if (!last) for (const { basename } of run.files) taken.add(basename)
    }
  }
  const head = isJson
    ? openProjectJson({ name: project, versions: mergedVersions(contributions) })
    : openProjectHtml({ title: `${ref.user}/${ref.index}: links for ${project}` })
  const foot = isJson ? CLOSE_PROJECT_JSON : CLOSE_PROJECT_HTML
  return pageBody([utf8Bytes(head), ...pieces, utf8Bytes(foot)])
}

/** Strong, and the same wherever the same data is shown the same way. `serials` are those of all it rests on. */
export function pageEtag(answer: SimpleAnswer, parts: readonly (string | number)[]): string {
  const hash = createHash('sha256').update(`${RENDERING}\0${answer.contentType}`)
  for (const part of parts) hash.update(`\0${part}`)
  return `"${hash.digest('base64url').slice(0, 22)}"`
}

function renderRun(input: ProjectPageInput, { ref, snapshot }: Contribution, run: FileRun): Buffer {
  const isJson = input.answer.spelling === 'json'
  const folderUrl = input.links.folderUrl(ref)
  const key = `${isJson ? 'json' : 'html'}\0${folderUrl}`
  const known = run.rendered.get(key)
  if (known !== undefined) return known

  const owner = { name: `${ref.user}/${ref.index}`, folderUrl }
  let text = ''
  for (const file of run.files) {
    const simple = simpleFile(file, owner, snapshot.versions.get(file.version)?.yanked)
    if (isJson) text += text === '' ? renderFileJson(simple) : JSON_SEPARATOR + renderFileJson(simple)
    else text += renderFileHtml(simple)
  }
  const bytes = utf8Bytes(text)
  if (run.rendered.size >= MOST_RENDERINGS) run.rendered.clear()
  run.rendered.set(key, bytes)
  return bytes
}

/** A file name belongs to the first index in resolution order that has it. */
function withoutTaken(run: FileRun, taken: ReadonlySet<string>): FileRun {
  if (!run.files.some(({ basename }) => taken.has(basename))) return run
  return { files: run.files.filter(({ basename }) => !taken.has(basename)), rendered: new Map() }
}

function mergedVersions(contributions: readonly Contribution[]): string[] {
  const [only, ...others] = contributions
  if (only !== undefined && others.length === 0) return only.snapshot.versionList.map(({ version }) => version)
  const all = new Map<string, ProjectVersion>()
  for (const { snapshot } of contributions) for (const found of snapshot.versionList) all.set(found.version, found)
  return [...all.values()].sort(compareProjectVersions).map(({ version }) => version)
}
