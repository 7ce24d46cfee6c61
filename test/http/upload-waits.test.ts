import diagnostics from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { jest } from '@jest/globals'
import { wheel } from '#test/support/archives.js'
import { startUploadServer, type UploadServer, uploadTo } from './upload-server.js'

const BOUNDARY = 'b0undary'

/** Lets uploads wait until they may go on. */
function hold(server: UploadServer): { readonly waits: Promise<void>; readonly goOn: () => void } {
  let goOn = (): void => undefined
  const held = new Promise<void>((resolve) => (goOn = resolve))
  const waits = new Promise<void>((resolve) => {
    jest.spyOn(server.deps.uploadTurns, 'take').mockImplementation(() => {
      resolve()
      return held
    })
  })
  return { waits, goOn }
}

function nextRequest(): Promise<IncomingMessage> {
  return new Promise((resolve) => {
    const listen = (message: unknown): void => {
      diagnostics.unsubscribe('http.server.request.start', listen)
      resolve((message as { request: IncomingMessage }).request)
    }
    diagnostics.subscribe('http.server.request.start', listen)
  })
}

function form({ filename, bytes }: ReturnType<typeof wheel>): Buffer {
  const field = (name: string, value: string): string => `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const fields = field(':action', 'file_upload') + field('name', 'demo') + field('version', '1.0')
  const content = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="${filename}"\r\n\r\n`
  return Buffer.concat([Buffer.from(fields + content), bytes, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)])
}

test.each([
  ['had sent all of it', 1],
  ['had sent a part of it', 0.5],
])('an upload whose client, which %s, goes away while it waits is dropped, and leaves nothing', async (_, share) => {
  await using server = await startUploadServer()
  const [head, files] = [server.head(), await server.files()]
  const { waits, goOn } = hold(server)
  const body = form(wheel('demo', '1.0'))
  const requested = nextRequest()
  const socket = connect(server.port, '127.0.0.1').on('error', () => undefined)
  socket.write(`POST /nina/dev/ HTTP/1.1\r\nHost: x\r\nAuthorization: ${server.auth('nina')}\r\nContent-Length: ${body.length}\r\nContent-Type: multipart/form-data; boundary=${BOUNDARY}\r\n\r\n`)
  socket.write(body.subarray(0, Math.floor(body.length * share)))
  const request = await requested
  await waits
  const over = server.requestOver()
  const closed = new Promise((resolve) => request.once('close', resolve)) // `once` would take its error away
  socket.destroy()
  await closed
  goOn()
  await over
  expect([server.head(), await server.files(), server.faults]).toEqual([head, files, []])
})

test('an upload that waited is taken whole, as far as it was on its way', async () => {
  await using server = await startUploadServer()
  const { waits, goOn } = hold(server)
  const replies = [5, 2_000_000].map((padding, at) => uploadTo(server, 'dev', `demo${at}`, '1.0', wheel(`demo${at}`, '1.0', { padding })))
  await waits
  goOn()
  expect((await Promise.all(replies)).map(({ status }) => status)).toEqual([200, 200])
})
