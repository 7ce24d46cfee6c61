import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { NOUNS, SHARED_SHAPES } from '#server/http/api-description/all.js'
import type { Noun, Schema } from '#server/http/api-description/description.js'
import { operationText } from './api-docs-parts/operation-text.js'
import { memberTable, schemaText } from './api-docs-parts/schema-text.js'

export const API_DOCS = join(import.meta.dirname, '../../docs/api.md')

/** Writes `docs/api.md` out of the descriptions of the routes. */
export function main(): Promise<number> {
  writeFileSync(API_DOCS, apiDocs())
  return Promise.resolve(0)
}

/** Everything that can be asked of the server, by noun, in Markdown. */
export function apiDocs(): string {
  const parts = [INTRODUCTION, contents(), ...NOUNS.map(nounText), '## Messages and refusals', ...Object.entries(SHARED_SHAPES).map(shapeText)]
  return `${parts.join('\n\n')}\n`
}

const INTRODUCTION = `# The API

This page is made from the descriptions of the routes (\`server/http/api-description/\`) by \`npm run api-docs\`. Programs find the
same in OpenAPI 3.1 at \`/+openapi.json\` of a server.

**Who asks.** \`Authorization: Basic\` with a password, a login token or an API token as the password, \`Authorization: Bearer\` with an
API token, or \`X-Devpi-Auth\` with the base64 of \`user:token\`. Without any of them the caller is nobody in particular. Root may do
everything but upload to mirrors. An API token does what its user may do, as far as it is for the action that is named.

**Addresses.** A slash at the end may be left out, or set, where users, tokens, indexes, projects, versions and files are
addressed; simple pages lead to theirs, and other addresses are as they stand here. The \`+\` may be written \`%2B\`. HEAD is answered wherever GET is; other
methods get 405 with \`Allow\`. An address of an index that was renamed redirects to the new one.

**Replies.** Data comes as JSON, \`{"type": …, "result": …}\`, at times with a \`message\` for people; what was merely done as
[Message](#message). \`X-DEVPI-SERIAL\` is the serial that a reply shows, or wrote.

**Refusals.** They change nothing and say in one sentence what is wrong, as [Refusal](#refusal) or, to who does not accept JSON, as a
small page. Those below may meet any request they fit, and are not repeated:

| | |
|---|---|
| 400 | the address or the body is not what is described |
| 401 | nobody is logged in, or the credentials are wrong or ended; \`WWW-Authenticate\` where tools look for it |
| 403 | who is logged in may not do this |
| 404 | what the address names is not there, or the caller may not know of it |
| 405 | the address does not have this method; \`Allow\` says which it has |
| 413 | the body is too large, or the change for one entry of the log |
| 429 | too many passwords failed, or are being checked; \`Retry-After\` says when to try again |
| 507 | the disk is nearly full; reading goes on |`

function contents(): string {
  const rows = NOUNS.flatMap(({ title, operations }) => [
    `| **[${title}](#${anchorOf(title)})** | | |`,
    ...operations.map((one) => `| ${one.method} | \`${one.path}\` | [${one.title}](#${anchorOf(one.title)}) |`),
  ])
  return ['| | | |', '|---|---|---|', ...rows].join('\n')
}

function nounText({ title, text, operations, shapes = {} }: Noun): string {
  return [`## ${title}`, text, ...operations.map(operationText), ...Object.entries(shapes).map(shapeText)].join('\n\n')
}

function shapeText([name, schema]: readonly [string, Schema]): string {
  const description = typeof schema['description'] === 'string' ? [schema['description']] : []
  const table = memberTable(schema)
  return [`#### ${name}`, ...description, table ?? `Is ${schemaText(schema)}.`].join('\n\n')
}

/** What a heading is called in links. */
export function anchorOf(title: string): string {
  return title.toLowerCase().replace(/[^a-z0-9 -]/g, '').replaceAll(' ', '-')
}
