import type { ServerResponse } from 'node:http'
import { CLOSE_LIST_HTML, openListHtml, renderProjectLine } from '#server/packaging/simple-html.js'
import { CLOSE_LIST_JSON, JSON_SEPARATOR, openListJson, renderNameJson } from '#server/packaging/simple-json.js'
import type { OpenStage } from '#server/stages/open-stage.js'
import { listedNames, type UpstreamNames } from '#server/stages/listed-names.js'

/** Characters written at a time. */
const PORTION = 64 * 1024

/** Writes the list as it is read, no faster than the client takes it. The head of the reply was sent before. */
export async function streamProjectList(
  response: ServerResponse,
  stage: OpenStage,
  { spelling, upstreams }: { readonly spelling: 'html' | 'json'; readonly upstreams: UpstreamNames },
): Promise<void> {
  const isJson = spelling === 'json'
  const render = isJson ? renderNameJson : renderProjectLine
  let portion = isJson ? openListJson() : openListHtml(`${stage.user}/${stage.index}: simple list (including inherited indices)`)
  let separator = ''
  for await (const names of listedNames(stage, upstreams)) {
    for (const name of names) {
      portion += separator + render(name)
      if (isJson) separator = JSON_SEPARATOR
    }
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
  await drained(response)
  return !response.destroyed
}

/** Resolves when the socket takes more, or the client is gone. */
function drained(res: ServerResponse): Promise<void> {
  if (res.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const settle = (): void => {
      res.off('drain', settle)
      res.off('close', settle)
      resolve()
    }
    res.on('drain', settle)
    res.on('close', settle)
  })
}
