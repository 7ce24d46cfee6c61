import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { OPERATIONS } from '#server/http/api-description/all.js'
import { type OpenApiDocument, ReplyCheck } from '#test/support/api-replies.js'
import { makeWorld, requestOf } from '#test/support/api-world.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

let server: TestServer
let root: TestUser
let document: OpenApiDocument
let check: ReplyCheck
beforeAll(async () => {
  server = await startServer()
  root = await server.root()
  document = (await (await server.fetch('/+openapi.json')).json()) as OpenApiDocument
  check = new ReplyCheck(document)
})
afterAll(() => server[Symbol.asyncDispose]())

test('the document is what the standard of OpenAPI 3.1 asks for', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document) as unknown as Record<string, unknown>)
  expect({ valid, errors }).toEqual({ valid: true, errors: undefined })
})

test('a document with a fault in it is not', async () => {
  const faulty = { ...document, paths: { '/': { get: { responses: { 200: { text: 'no description' } } } } } }
  expect((await new Validator().validate(JSON.parse(JSON.stringify(faulty)) as Record<string, unknown>)).valid).toBe(false)
})

test('its shapes are JSON Schemas, and every one is referred to', () => {
  expect(check.compileAll()).toBeGreaterThan(20)
  const text = JSON.stringify(document)
  const unused = Object.keys(document.components.schemas).filter((name) => !text.includes(`"#/components/schemas/${name}"`))
  expect(unused).toEqual([])
})

test('it says which release it is of', () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8')) as { version: string }
  expect(document.info.version).toBe(version)
})

test.each([{}, { Accept: 'text/html' }, { Accept: 'application/vnd.oai.openapi+json' }])('whoever accepts %j gets it, and 304 the next time', async (headers) => {
  const first = await server.fetch('/+openapi.json', { headers })
  const etag = first.headers.get('etag') ?? ''
  expect([first.status, first.headers.get('content-type'), first.headers.get('cache-control')]).toEqual([200, 'application/json', 'public, max-age=300'])
  expect(await first.json()).toEqual(document)
  const second = await server.fetch('/+openapi.json', { headers: { ...headers, 'If-None-Match': etag } })
  expect([second.status, second.headers.get('etag'), await second.text()]).toEqual([304, etag, ''])
  const head = await server.fetch('/+openapi.json', { method: 'HEAD', headers })
  expect([head.status, head.headers.get('etag'), Number(head.headers.get('content-length')) > 10_000]).toEqual([200, etag, true])
})

const READING = OPERATIONS.filter(({ changes }) => !changes)
const CHANGING = OPERATIONS.filter(({ changes }) => changes)

test('replies to reading requests are as described, at every address, for owners, strangers and nobody', async () => {
  const world = await makeWorld(server, root)
  const faults: string[] = []
  for (const operation of READING) {
    for (const path of [operation.path, ...(operation.alsoAt ?? [])]) {
      for (const [who, fetchFrom] of [['owner', world.alice.fetch.bind(world.alice)], ['stranger', world.mallory.fetch.bind(world.mallory)], ['nobody', server.fetch]] as const) {
        for (const accept of ['application/json', 'application/vnd.pypi.simple.v1+json', 'text/html', '*/*']) {
          const request = requestOf(world, operation, path)
          const reply = await fetchFrom(request.path, { ...request.init, headers: { ...request.init.headers, Accept: accept } })
          faults.push(...(await check.faultsOf(operation.method, path, reply)).map((fault) => `${who}, ${operation.id}, ${accept}: ${fault}`))
        }
      }
    }
  }
  expect(faults).toEqual([])
})

test('refusals of changes are as described', async () => {
  const world = await makeWorld(server, root)
  const faults: string[] = []
  for (const operation of CHANGING) {
    for (const fetchFrom of [server.fetch, world.mallory.fetch.bind(world.mallory)]) {
      const request = requestOf(world, operation)
      const reply = await fetchFrom(request.path, request.init)
      faults.push(...(await check.faultsOf(operation.method, operation.path, reply)).map((fault) => `${operation.id}: ${fault}`))
    }
  }
  expect(faults).toEqual([])
})

test('a reply with a member too many is a fault', async () => {
  const reply = new Response('{"status":"ok","more":1}', { headers: { 'Content-Type': 'application/json' } })
  expect(await check.faultsOf('GET', '/+health', reply)).toEqual([expect.stringContaining('additional properties')])
})
