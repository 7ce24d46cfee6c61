import type { JsonValue } from '#log-format/values.js'
import { STATUS } from '../errors.js'
import { HTML_TYPE, JSON_TYPE } from '../negotiate.js'
import { NOUNS, SHAPES } from './all.js'
import { EXAMPLE_PLACE, type Operation, type Parameter, parametersOf, type Schema } from './description.js'
import { refusalsOf } from './refusals.js'
import { whoMay } from './who-may.js'

type Json = { readonly [name: string]: JsonValue }

/** The OpenAPI 3.1 document of everything that is described; the server stands where the document does. */
export function openApiDocument(serverVersion: string): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'devpi',
      version: serverVersion,
      description: 'A private Python package index. Every reply names in `X-DEVPI-SERIAL` the serial that it shows or wrote.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '.', description: 'Where this document was found.' }],
    tags: NOUNS.map(({ title, text }) => ({ name: title, description: text })),
    paths: paths(),
    components: {
      schemas: SHAPES,
      securitySchemes: SECURITY,
      headers: { Serial: { description: 'The serial that the reply shows or wrote.', schema: { type: 'string', pattern: '^-?[0-9]+$' } } },
    },
    // Without any, the caller is anonymous, which is enough for what everybody may do.
    security: [{}, { basic: [] }, { bearer: [] }, { devpiAuth: [] }],
  }
}

const SECURITY: Json = {
  basic: { type: 'http', scheme: 'basic', description: 'A user with a password, a login token or an API token; or `__token__` with an API token.' },
  bearer: { type: 'http', scheme: 'bearer', description: 'An API token.' },
  devpiAuth: { type: 'apiKey', in: 'header', name: 'X-Devpi-Auth', description: 'The base64 of `user:token`, as clients of the reference server send it.' },
}

interface Placed {
  readonly operation: Operation
  readonly path: string
  readonly isAlias: boolean
  readonly tag: string
}

function paths(): Json {
  const placed = NOUNS.flatMap(({ title, operations }) =>
    operations.flatMap((operation): Placed[] => [
      { operation, path: operation.path, isAlias: false, tag: title },
      ...(operation.alsoAt ?? []).map((path) => ({ operation, path, isAlias: true, tag: title })),
    ]),
  )
  const items: Record<string, Json> = {}
  for (const [path, here] of groupBy(placed, ({ path }) => path)) {
    const methods = groupBy(here, ({ operation }) => operation.method.toLowerCase())
    items[path] = { parameters: parametersOf(path).map(pathParameter), ...Object.fromEntries([...methods].map(([method, found]) => [method, merged(found)])) }
  }
  return items
}

/** One address and method is one operation to OpenAPI, whatever its bodies mean. */
function merged(placed: readonly Placed[]): Json {
  const operations = placed.map(({ operation }) => operation)
  const [first] = placed
  const parameters = [...inPlace('query', operations.flatMap(({ query = [] }) => query)), ...inPlace('header', operations.flatMap(({ headers = [] }) => headers))]
  return {
    operationId: `${first?.operation.id ?? ''}${first?.isAlias === true ? 'Alias' : ''}`,
    tags: [...new Set(placed.map(({ tag }) => tag))],
    summary: operations.map(({ title }) => title).join('; or: '),
    description: operations.map((one) => (operations.length === 1 ? '' : `**${one.title}.** `) + descriptionOf(one)).join('\n\n'),
    ...(parameters.length > 0 && { parameters }),
    ...bodyOf(operations),
    responses: responsesOf(operations),
  }
}

function descriptionOf({ text, asks }: Operation): string {
  const who = 'noRight' in asks ? `For everybody: ${asks.noRight}.` : `For ${whoMay(asks)}.`
  return text === undefined ? who : `${text}\n\n${who}`
}

function pathParameter(name: string): Json {
  return { name, in: 'path', required: true, schema: { type: 'string' }, example: EXAMPLE_PLACE[name] ?? name }
}

function inPlace(place: 'query' | 'header', parameters: readonly Parameter[]): Json[] {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]))
  return [...byName.values()].map(({ name, text, schema }) => ({ name, in: place, description: text, schema }))
}

function bodyOf(operations: readonly Operation[]): { readonly requestBody?: Json } {
  const bodies = operations.flatMap(({ id, title, body }) => (body === undefined ? [] : [{ id, title, ...body }]))
  if (bodies.length === 0) return {}
  const content: Record<string, Json> = {}
  for (const [type, found] of groupBy(bodies, ({ type }) => type)) {
    const examples = found.flatMap(({ id, title, example }) => (example === undefined ? [] : [[id, { summary: title, value: example }] as const]))
    content[type] = { schema: anyOf(found.map(({ schema }) => schema)), ...(examples.length > 0 && { examples: Object.fromEntries(examples) }) }
  }
  return { requestBody: { required: bodies.length === operations.length, content } }
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly types: readonly string[]
  readonly schema?: Schema | undefined
}

function responsesOf(operations: readonly Operation[]): Json {
  const answers = operations.flatMap((operation): Answer[] => [
    ...operation.replies.map(({ types = [], ...reply }) => ({ ...reply, types })),
    ...refusalsOf(operation).map(([kind, text]) => ({ status: STATUS[kind], text, types: [JSON_TYPE, HTML_TYPE, 'text/plain'], schema: REFUSAL })),
  ])
  const byStatus = [...groupBy(answers, ({ status }) => status)].sort(([a], [b]) => a - b)
  return Object.fromEntries(byStatus.map(([status, found]) => [String(status), responseOf(status, found)]))
}

const REFUSAL: Schema = { $ref: '#/components/schemas/Refusal' }

function responseOf(status: number, answers: readonly Answer[]): Json {
  const byType = groupBy(
    answers.flatMap(({ types, schema }) => types.map((type) => ({ type, schema: type.startsWith('text/') ? undefined : schema }))),
    ({ type }) => type,
  )
  const content = Object.fromEntries([...byType].map(([type, found]) => [type, mediaType(found.flatMap(({ schema }) => (schema === undefined ? [] : [schema])))]))
  return {
    description: [...new Set(answers.map(({ text }) => text))].join(' '),
    ...(status < 300 && { headers: { 'X-DEVPI-SERIAL': { $ref: '#/components/headers/Serial' } } }),
    ...(byType.size > 0 && { content }),
  }
}

function mediaType(schemas: readonly Schema[]): Json {
  return schemas.length === 0 ? {} : { schema: anyOf(schemas) }
}

/** One of the schemas, each named once. */
function anyOf(schemas: readonly Schema[]): Schema {
  const different = [...new Map(schemas.map((schema) => [JSON.stringify(schema), schema])).values()]
  const [only, ...others] = different
  return only === undefined || others.length > 0 ? { anyOf: different } : only
}

/** In the order of the first of each group. */
function groupBy<K, T>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}
