import type { JsonValue } from '#log-format/values.js'
import type { Schema } from '#server/http/api-description/description.js'

const WORDS: Readonly<Record<string, string>> = { string: 'text', integer: 'whole number', number: 'number', boolean: 'true or false', null: 'null', object: 'object', array: 'list' }

/** A schema in a few words, with links to the shapes it names. */
export function schemaText(schema: JsonValue | undefined): string {
  if (!isSchema(schema)) return 'any value'
  const { $ref, anyOf, enum: values, const: value, type, items, prefixItems, additionalProperties, properties } = schema
  if (typeof $ref === 'string') return shapeLink($ref)
  if (Array.isArray(anyOf)) return anyOf.map(schemaText).join(' or ')
  if (Array.isArray(values)) return values.map((one) => `\`${String(one)}\``).join(', ')
  if (value !== undefined) return `\`${JSON.stringify(value).replaceAll('"', '')}\``
  if (Array.isArray(prefixItems)) return `list of ${prefixItems.map(schemaText).join('; ')}`
  if (type === 'array') return `list of ${schemaText(items)}`
  if (type === 'object' && properties === undefined && isSchema(additionalProperties)) return `object of ${schemaText(additionalProperties)} by name`
  if (isSchema(properties)) return `object of ${Object.keys(properties).map((name) => `\`${name}\``).join(', ')}`
  if (Array.isArray(type)) return type.map((one) => WORDS[String(one)] ?? String(one)).join(' or ')
  if (schema['format'] === 'binary') return 'file'
  return typeof type === 'string' ? (WORDS[type] ?? type) : 'any value'
}

/** A table of the members of an object; undefined for a schema of something else. */
export function memberTable(schema: Schema): string | undefined {
  const { properties, required } = schema
  if (!isSchema(properties)) return undefined
  const needed = new Set(Array.isArray(required) ? required : [])
  const rows = Object.entries(properties).map(([name, member]) => {
    const description = isSchema(member) && typeof member['description'] === 'string' ? member['description'] : ''
    return `| \`${name}\` | ${needed.has(name) ? '' : 'optional'} | ${schemaText(member)} | ${description} |`
  })
  return ['| member | | | |', '|---|---|---|---|', ...rows].join('\n')
}

export function isSchema(value: JsonValue | undefined): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shapeLink(reference: string): string {
  const name = reference.slice(reference.lastIndexOf('/') + 1)
  return `[${name}](#${name.toLowerCase()})`
}
