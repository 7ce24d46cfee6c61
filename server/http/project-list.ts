import type { ServerResponse } from 'node:http'
import { once } from 'node:events'
import { keys } from '#log-format/keys.js'
import { CLOSE_LIST_HTML, openListHtml, renderProjectLine } from '#server/packaging/simple-html.js'
import { CLOSE_LIST_JSON, JSON_SEPARATOR, openListJson, renderNameJson } from '#server/packaging/simple-json.js'
import type { OpenStage } from '#server/stages/open-stage.js'
import { compareTexts } from '#server/stages/project-files.js'

/** Characters written at a time. */
const PORTION = 64 * 1024

/** Names of all projects on the indexes of a stage, each once, in order. */
export async function* projectNames(stage: OpenStage): AsyncGenerator<string> {
  const walks = stage.order
    .map(({ user, index }) => stage.reader.scan(keys.project.under(user, index))[Symbol.asyncIterator]())
  try {
    const heads = await Promise.all(walks.map(nextName))
    for (;;) {
      const least = heads.reduce((a, b) => (a === undefined || (b !== undefined && compareTexts(b, a) < 0) ? b : a), undefined)
      if (least === undefined) return
      yield least
      for (const [at, walk] of walks.entries()) {
        if (heads[at] === least) heads[at] = await nextName(walk)
      }
    }
  } finally {
    for (const walk of walks) await walk.return?.()
  }
}

/** Writes the list as it is read, no faster than the client takes it. The head of the reply was sent before. */
export async function streamProjectList(response: ServerResponse, stage: OpenStage, spelling: 'html' | 'json'): Promise<void> {
  const isJson = spelling === 'json'
  let portion = isJson ? openListJson() : openListHtml(`${stage.user}/${stage.index}: simple list (including inherited indices)`)
  let separator = ''
  for await (const name of projectNames(stage)) {
    portion += separator + (isJson ? renderNameJson(name) : renderProjectLine(name))
    if (isJson) separator = JSON_SEPARATOR
    if (portion.length < PORTION) continue
    if (!(await write(response, portion))) return
    portion = ''
  }
  response.end(portion + (isJson ? CLOSE_LIST_JSON : CLOSE_LIST_HTML))
}

/** False when the client is gone. */
async function write(response: ServerResponse, text: string): Promise<boolean> {
  if (response.destroyed) return false
  if (response.write(text)) return true
  await Promise.race([once(response, 'drain'), once(response, 'close')])
  return !response.destroyed
}

async function nextName(walk: AsyncIterator<{ readonly segments: readonly string[] }>): Promise<string | undefined> {
  const step = await walk.next()
  return step.done === true ? undefined : step.value.segments[2]
}
