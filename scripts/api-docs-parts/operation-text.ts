import type { JsonValue } from '#log-format/values.js'
import { type Body, EXAMPLE_PLACE, type Operation, type Parameter, type Reply } from '#server/http/api-description/description.js'
import { whoMay } from '#server/http/api-description/who-may.js'
import { STATUS } from '#server/http/errors.js'
import type { RefusalKind } from '#log-format/api/refusal.js'
import { isSchema, memberTable, schemaText } from './schema-text.js'

/** One operation in Markdown, from its heading on. */
export function operationText(operation: Operation): string {
  const { title, text, asks, query = [], headers = [], body } = operation
  return [
    `### ${title}`,
    addressText(operation),
    ...(text === undefined ? [] : [text]),
    'noRight' in asks ? `**Who may:** everybody: ${asks.noRight}.` : `**Who may:** ${whoMay(asks)}.`,
    ...parameterTable('Query', query),
    ...parameterTable('Header', headers),
    ...(body === undefined ? [] : bodyText(body)),
    ...exampleText(operation),
    repliesText(operation),
  ].join('\n\n')
}

function addressText({ method, path, alsoAt = [] }: Operation): string {
  return ['```', ...[path, ...alsoAt].map((one) => `${method} ${one}`), '```'].join('\n')
}

function parameterTable(what: string, parameters: readonly Parameter[]): string[] {
  if (parameters.length === 0) return []
  const rows = parameters.map(({ name, text, schema }) => `| \`${name}\` | ${schemaText(schema)} | ${text} |`)
  return [[`| ${what} | | |`, '|---|---|---|', ...rows].join('\n')]
}

function bodyText({ type, schema }: Body): string[] {
  const table = memberTable(schema)
  const description = typeof schema['description'] === 'string' ? ` ${schema['description']}` : ''
  return [`**Body:** \`${type}\`, ${table === undefined ? schemaText(schema) : 'with'}${table === undefined ? `.${description}` : ':'}`, ...(table === undefined ? [] : [table])]
}

/** As a command, where something is sent. */
function exampleText({ method, path, body, asks }: Operation): string[] {
  if (body?.example === undefined) return []
  const address = `http://localhost:3141${path.replace(/\{(\w+)\}/g, (_, name: string) => EXAMPLE_PLACE[name] ?? name)}`
  const user = 'noRight' in asks || asks.includes('user-create') ? '' : ' -u alice:wonderland'
  const isForm = body.type === 'multipart/form-data'
  const sent = isForm ? formArguments(body.example) : ` -d ${quoted(JSON.stringify(body.example))}`
  return [`\`\`\`bash\ncurl -s${user}${isForm || method === 'POST' ? '' : ` -X ${method}`} ${address}${sent}\n\`\`\``]
}

function formArguments(example: JsonValue): string {
  return isSchema(example) ? Object.entries(example).map(([name, value]) => ` -F ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join('') : ''
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function repliesText({ replies, refuses = {} }: Operation): string {
  const refusals = (Object.keys(refuses) as RefusalKind[]).map((kind) => ({ status: STATUS[kind], text: refuses[kind] ?? '' }))
  const rows = [...replies.map((reply) => ({ status: reply.status, text: `${reply.text}${shapeOf(reply)}` })), ...refusals.sort((a, b) => a.status - b.status)]
  return rows.map(({ status, text }) => `- **${status}** ${text}`).join('\n')
}

/** What the reply holds: of an envelope, what is in `result`. */
function shapeOf({ types = [], schema }: Reply): string {
  if (types.length === 0) return ''
  const properties = schema?.['properties']
  const [type, result] = isSchema(properties) ? [properties['type'], properties['result']] : []
  if (isSchema(type) && result !== undefined) return ` \`type\` is ${schemaText(type)}, \`result\` ${schemaText(result)}.`
  return ` ${types.map((one) => `\`${one}\``).join(' or ')}${schema === undefined || isSchema(properties) ? '' : `: ${schemaText(schema)}`}.`
}
