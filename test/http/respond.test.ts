import { toSerial } from '#log-format/serial.js'
import { reasonPhrase, sendBody, sendMessage, sendResult, setNodeHeaders } from '#server/http/respond.js'
import { replyOf } from './requests.js'

const serial = toSerial(41)

test('a result is an envelope with its serial', async () => {
  const reply = await replyOf((_, response) => {
    sendResult(response, { type: 'userconfig', result: { username: 'nina', title: 'ü' }, serial })
  })
  expect(reply.status).toBe(200)
  expect(JSON.parse(reply.body)).toEqual({ type: 'userconfig', result: { username: 'nina', title: 'ü' } })
  expect(reply.headers).toMatchObject({
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(reply.body)),
    'x-devpi-serial': '41',
  })
})

test('a result may have a message and a status', async () => {
  const reply = await replyOf((_, response) => {
    sendResult(response, { type: 'actionlog', result: [], message: 'failed', serial, status: 502 })
  })
  expect(reply.status).toBe(502)
  expect(JSON.parse(reply.body)).toEqual({ type: 'actionlog', result: [], message: 'failed' })
})

test.each([
  [undefined, 200],
  [201, 201],
])('a message with status %s is sent with %s', async (status, sent) => {
  const reply = await replyOf((_, response) => sendMessage(response, serial, 'deleted', status))
  expect(reply.status).toBe(sent)
  expect(reply.headers['x-devpi-serial']).toBe('41')
  expect(JSON.parse(reply.body)).toEqual({ message: 'deleted' })
})

test('HEAD gets the headers of GET', async () => {
  const get = await replyOf((_, response) => sendMessage(response, serial, 'deleted'))
  const head = await replyOf((_, response) => sendMessage(response, serial, 'deleted'), { method: 'HEAD' })
  expect(head.body).toBe('')
  expect(head.headers['content-length']).toBe(get.headers['content-length'])
})

test('a body of bytes is sent as it is', async () => {
  const reply = await replyOf((_, response) => sendBody(response, 200, Buffer.from('ü'), { 'Content-Type': 'text/plain' }))
  expect(reply.body).toBe('ü')
  expect(reply.headers['content-length']).toBe('2')
})

test('every reply says which node sends it', async () => {
  const node = { serverVersion: '7.0.0', uuid: 'd'.repeat(32), primaryUuid: 'e'.repeat(32), epoch: 3 }
  const reply = await replyOf((_, response) => {
    setNodeHeaders(response, node)
    sendMessage(response, serial, 'ok')
  })
  expect(reply.headers).toMatchObject({
    'x-devpi-api-version': '2',
    'x-devpi-server-version': '7.0.0',
    'x-devpi-uuid': node.uuid,
    'x-devpi-epoch': '3',
    'x-devpi-master-uuid': node.primaryUuid,
    'x-devpi-primary-uuid': node.primaryUuid,
  })
})

test.each([
  ['demo-1.0.tar.gz already exists', 'demo-1.0.tar.gz already exists'],
  ['grüße', 'grüße'],
  ['a\r\nSet-Cookie: b\tc', 'a Set-Cookie: b c'],
  ['naïve – 😀\u0000\u0085\u007f', 'naïve ? ????'],
  ['x'.repeat(300), 'x'.repeat(200)],
  ['', 'Conflict'],
  [' \n ', 'Conflict'],
])('as a reason phrase, %j is %j', (text, phrase) => {
  expect(reasonPhrase(text, 409)).toBe(phrase)
})
