import type { ResultType } from '#log-format/api/envelope.js'
import type { RefusalKind } from '#log-format/api/refusal.js'
import type { JsonValue } from '#log-format/values.js'
import type { Action } from '#server/auth/actions.js'
import { JSON_TYPE } from '../negotiate.js'

export type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'

/** JSON Schema 2020-12. Shapes that have a name are referred to by {@link ref}. */
export type Schema = { readonly [keyword: string]: JsonValue }

/**
 * One thing that can be asked of the server. Several operations may share a
 * method and an address and differ in their bodies, as uploads and pushes do.
 * A GET answers HEAD, too.
 */
export interface Operation {
  /** Unique, for programs: `uploadFile`. */
  readonly id: string
  readonly method: Method
  /** `/{user}/{index}/+simple/{project}/`. Whether a slash at its end may be left out is the router's business. */
  readonly path: string
  /** Other addresses that answer alike. */
  readonly alsoAt?: readonly string[]
  /** What the router calls the path, where it takes the end of it as one: `/{user}/{index}/+f/{path}`. */
  readonly routedAs?: string
  readonly title: string
  /** Markdown, in full sentences. */
  readonly text?: string
  readonly asks: Asked
  /** Whether it may append to the log. */
  readonly changes: boolean
  readonly query?: readonly Parameter[]
  readonly headers?: readonly Parameter[]
  readonly body?: Body
  /** Of success, and of failure if it has data; the first is the usual one. */
  readonly replies: readonly Reply[]
  /** Refusals beside those that {@link refusalsOf} finds by itself. */
  readonly refuses?: Refusals
}

/**
 * Rows of the permission table that are asked, all or one of them as the
 * text says, or why it needs none.
 */
export type Asked = readonly [Action, ...Action[]] | { readonly noRight: string }

export type Refusals = { readonly [K in RefusalKind]?: string }

export interface Parameter {
  readonly name: string
  readonly text: string
  readonly schema: Schema
}

export interface Body {
  readonly type: string
  readonly schema: Schema
  /** Of a JSON body, or the fields of a form; the address is that of {@link EXAMPLE_PLACE}. */
  readonly example?: JsonValue
  readonly optional?: boolean
}

export interface Reply {
  readonly status: 200 | 201 | 206 | 302 | 304 | 502 | 503
  readonly text: string
  /** Types of the body; without one it is empty, or a page of no use to programs. */
  readonly types?: readonly string[]
  readonly schema?: Schema
}

/** What belongs together for a reader: the operations on one noun, and the shapes that only they have or first. */
export interface Noun {
  readonly title: string
  readonly text: string
  readonly operations: readonly Operation[]
  readonly shapes?: Readonly<Record<string, Schema>>
}

/** Of addresses where there is always something, but nothing in another form. */
export const ONLY_JSON: Refusals = { 'not-found': '`Accept` does not admit JSON.' }

/** What examples are about. */
export const EXAMPLE_PLACE: Readonly<Record<string, string>> = {
  user: 'alice',
  group: 'devs',
  index: 'dev',
  project: 'hello-devpi',
  version: '1.0',
  serial: '7',
  id: '3f2a9c0d4e5b6a71',
  sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
  dirA: '2cf',
  dirB: '24dba5fb0a30e',
  basename: 'hello_devpi-1.0-py3-none-any.whl',
  path: 'index.html',
}

/** A named shape. */
export function ref(shape: string): Schema {
  return { $ref: `#/components/schemas/${shape}` }
}

/** `{type, result}` around a shape, with a message for people or without. */
export function result(type: ResultType, shape: Schema, text: string, status: Reply['status'] = 200): Reply {
  const schema: Schema = {
    type: 'object',
    required: ['type', 'result'],
    properties: { type: { const: type }, result: shape, message: { type: 'string' } },
    additionalProperties: false,
  }
  return { status, text, types: [JSON_TYPE], schema }
}

/** `{message}`. */
export function message(text: string, status: Reply['status'] = 200): Reply {
  return { status, text, types: [JSON_TYPE], schema: ref('Message') }
}

export function json(schema: Schema, example?: JsonValue): Body {
  return { type: JSON_TYPE, schema, ...(example !== undefined && { example }) }
}

/** An object with these members and no others; those whose name ends in `?` may be left out. */
export function object(members: Readonly<Record<string, Schema>>): Schema {
  const names = Object.keys(members)
  const properties = Object.fromEntries(names.map((name) => [name.replace(/\?$/, ''), members[name] ?? {}]))
  const required = names.filter((name) => !name.endsWith('?'))
  return { type: 'object', ...(required.length > 0 && { required }), properties, additionalProperties: false }
}

/** An object with any names, each with a value of this shape. */
export function mapOf(schema: Schema): Schema {
  return { type: 'object', additionalProperties: schema }
}

export function listOf(items: Schema): Schema {
  return { type: 'array', items }
}

/** Text, with what it is. */
export function text(description?: string): Schema {
  return { type: 'string', ...(description !== undefined && { description }) }
}

export function flag(description?: string): Schema {
  return { type: 'boolean', ...(description !== undefined && { description }) }
}

/** A parameter that counts as set with any value or none. */
export function switchParameter(name: string, description: string): Parameter {
  return { name, text: `${description} Any value sets it, or none.`, schema: { type: 'string' } }
}

/** The names in braces of a path, in order. */
export function parametersOf(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
}
