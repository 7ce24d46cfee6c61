import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SHAPES } from '#server/http/api-description/all.js'
import type { Schema } from '#server/http/api-description/description.js'
import { memberTable, schemaText } from './api-docs-parts/schema-text.js'
import { CLI_SHAPES, COMMANDS, type Printed } from './cli-json-parts/commands.js'
import { CODES, ERROR } from './cli-json-parts/error.js'

export const CLI_JSON_DOCS = join(import.meta.dirname, '../../docs/cli-json.md')

/** Writes `docs/cli-json.md` out of the descriptions of what commands print. */
export function main(): Promise<number> {
  writeFileSync(CLI_JSON_DOCS, cliJsonDocs())
  return Promise.resolve(0)
}

/** What commands print with `--json`, in Markdown. */
export function cliJsonDocs(): string {
  const commands = Object.entries(COMMANDS).map(([id, forms]) => [`## devpi ${id.replace(':', ' ')}`, ...forms.map(formText)].join('\n\n'))
  const shapes = Object.entries(CLI_SHAPES).map(([name, schema]) => [`#### ${name}`, shapeText(schema)].join('\n\n'))
  return linked(`${[INTRODUCTION, ERRORS, ...commands, '## Shapes', ...shapes].join('\n\n')}\n`)
}

const INTRODUCTION = `# What commands print with --json

This page is made from descriptions (\`scripts/cli-json-parts/\`) by \`npm run cli-json\`; the tests hold what every command prints against
them. With \`--json\`, or \`DEVPI_JSON=1\`, a command prints one JSON document on standard output, and what is for people on standard error.
The exit code is the same as without. Objects have the members below and no others; later releases may add some.`

const ERRORS = `## Errors

Whoever fails prints \`{"error": …}\`; a command that did a part of its work has the members of its result beside it.

${shapeText(ERROR)}

| code | |
|---|---|
${Object.entries(CODES).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`).join('\n')}`

function formText({ when, schema, isLines }: Printed): string {
  const lead = [when, ...(isLines === true ? ['one document on each line, as it happens'] : [])].filter((part) => part !== '').join(': ')
  const shape = shapeText(schema)
  return lead === '' ? shape : `${lead.charAt(0).toUpperCase()}${lead.slice(1)}:\n\n${shape}`
}

function shapeText(schema: Schema): string {
  const description = typeof schema['description'] === 'string' ? ` ${schema['description']}` : ''
  return memberTable(schema) ?? `Is ${schemaText(schema)}.${description}`
}

/** Shapes of the server stand on the page of its API. */
function linked(text: string): string {
  return text.replace(/\[(\w+)\]\(#\w+\)/g, (link, name: string) => (Object.hasOwn(SHAPES, name) && !Object.hasOwn(CLI_SHAPES, name) ? link.replace('(#', '(api.md#') : link))
}
