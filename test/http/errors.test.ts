import type { RequestListener } from 'node:http'
import { Refusal, type RefusalKind, type RefusalOptions } from '#log-format/api/refusal.js'
import { sendFault, sendRefusal, STATUS, type RefusalReplyOptions } from '#server/http/errors.js'
import { replyOf } from './requests.js'

function refusing(kind: RefusalKind, message: string, how: RefusalOptions = {}, options?: RefusalReplyOptions): RequestListener {
  return (request, response) => sendRefusal(request, response, new Refusal(kind, message, how), options)
}

const accepting = (accept?: string): object => (accept === undefined ? {} : { headers: { accept } })
const PAGE = 'text/html; charset=UTF-8'
const TEXT = 'text/plain; charset=UTF-8'
const JSON_TYPE = 'application/json'

test.each<[RefusalOptions, string | undefined, string]>([
  [{}, undefined, PAGE],
  [{}, '*/*', PAGE],
  [{}, 'text/plain', PAGE],
  [{}, 'application/vnd.pypi.simple.v1+json', PAGE],
  [{}, 'application/json', JSON_TYPE],
  [{}, 'text/html, application/json;q=0.1', JSON_TYPE],
  [{ form: 'status' }, undefined, TEXT],
  [{ form: 'status' }, 'text/plain', TEXT],
  [{ form: 'status' }, 'text/html', PAGE],
  [{ form: 'status' }, '*/*', PAGE],
  [{ form: 'status' }, 'application/json, */*', PAGE],
  [{ form: 'status' }, 'application/json', JSON_TYPE],
  [{ form: 'reason' }, undefined, TEXT],
  [{ form: 'reason' }, 'text/html', PAGE],
  [{ form: 'reason' }, 'application/json', JSON_TYPE],
])('a refusal %j to Accept %s is sent as %s', async (how, accept, contentType) => {
  const reply = await replyOf(refusing('not-found', 'no such file', how), accepting(accept))
  expect(reply.status).toBe(404)
  expect(reply.headers['content-type']).toBe(contentType)
  expect(reply.headers['content-length']).toBe(String(Buffer.byteLength(reply.body)))
  expect(reply.headers['cache-control']).toBe('no-store')
  expect(reply.body).toContain('no such file')
})

test.each<[RefusalOptions, string, object]>([
  [{}, 'Conflict', { message: 'it exists' }],
  [{ form: 'status' }, 'Conflict', { message: 'it exists', code: '409 Conflict', title: 'Conflict' }],
  [{ form: 'reason' }, 'it exists', { message: 'it exists', code: '409 it exists', title: 'it exists' }],
])('the JSON of a refusal %j, with the phrase %s', async (how, phrase, body) => {
  const reply = await replyOf(refusing('conflict', 'it exists', how), accepting(JSON_TYPE))
  expect(reply.phrase).toBe(phrase)
  expect(JSON.parse(reply.body)).toEqual(body)
})

test('routes of the API answer JSON to everybody', async () => {
  const reply = await replyOf(refusing('conflict', 'user already exists', {}, { always: 'json' }), accepting('text/html'))
  expect(reply.headers['content-type']).toBe(JSON_TYPE)
  expect(JSON.parse(reply.body)).toEqual({ message: 'user already exists' })
})

test('a page holds the message as text and may do nothing', async () => {
  const reply = await replyOf(refusing('not-found', 'no <script>alert(1)</script> & "x"'))
  expect(reply.body).toBe(
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>404 Not Found</title></head>' +
      '<body><h1>404 Not Found</h1><p>no &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;</p></body></html>\n',
  )
  expect(reply.headers).toMatchObject({
    'content-security-policy': expect.stringContaining("default-src 'none'"),
    'x-content-type-options': 'nosniff',
  })
})

test('text names the status and the message', async () => {
  const reply = await replyOf(refusing('conflict', 'it exists', { form: 'reason' }))
  expect(reply.body).toBe('409 Conflict\n\nit exists\n')
})

test('a reason phrase cannot start a header', async () => {
  const reply = await replyOf(refusing('invalid', "'a\r\nSet-Cookie: b😀' is not valid", { form: 'reason' }))
  expect(reply.phrase).toBe("'a Set-Cookie: b?' is not valid")
  expect(reply.headers['set-cookie']).toBeUndefined()
})

test('headers of the refusal are sent, also in place of ours', async () => {
  const headers = { 'WWW-Authenticate': 'Basic realm="pypi"', 'Cache-Control': 'max-age=60' }
  const reply = await replyOf(refusing('unauthenticated', 'login needed', { form: 'status', headers }))
  expect(reply.headers).toMatchObject({ 'www-authenticate': 'Basic realm="pypi"', 'cache-control': 'max-age=60' })
})

test('after too large a body, the connection is closed', async () => {
  const reply = await replyOf(refusing('too-large', 'the body is too large'))
  expect([reply.status, reply.phrase]).toEqual([413, 'Request Entity Too Large'])
  expect(reply.headers.connection).toBe('close')
})

test('HEAD gets no body', async () => {
  const reply = await replyOf(refusing('gone', 'deleted'), { method: 'HEAD' })
  expect([reply.status, reply.body]).toEqual([410, ''])
  expect(Number(reply.headers['content-length'])).toBeGreaterThan(0)
})

test('every kind has a status of its own', () => {
  const statuses = Object.values(STATUS)
  expect(new Set(statuses).size).toBe(statuses.length)
  expect(statuses.every((status) => status >= 400 && status < 600 && status !== 500)).toBe(true)
})

test.each([
  [JSON_TYPE, JSON_TYPE],
  [undefined, PAGE],
])('a fault to Accept %s tells its id as %s', async (accept, contentType) => {
  const reply = await replyOf((request, response) => sendFault(request, response, 'f4u1t'), accepting(accept))
  expect([reply.status, reply.phrase]).toEqual([500, 'Internal Server Error'])
  expect(reply.headers['content-type']).toBe(contentType)
  expect(reply.body).toContain('f4u1t')
})

test('in the middle of a reply, the connection is cut', async () => {
  for (const fail of [refusing('gone', 'x'), (...[request, response]: Parameters<RequestListener>) => sendFault(request, response, 'x')]) {
    const cut = replyOf((request, response) => {
      response.writeHead(200, { 'Content-Length': 100 })
      response.write('half')
      fail(request, response)
    })
    await expect(cut).rejects.toMatchObject({ code: 'ECONNRESET' })
  }
})
