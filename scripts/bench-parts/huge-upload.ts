import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Listening } from './processes.js'
import { AUTH } from './state.js'

const MB = 1024 * 1024

/** The most memory that a process has, in bytes, while something goes on. */
export async function mostMemory(server: Listening, work: () => Promise<unknown>): Promise<number> {
  let most = server.rssBytes()
  const watching = setInterval(() => (most = Math.max(most, server.rssBytes())), 20)
  try {
    await work()
  } finally {
    clearInterval(watching)
  }
  return most
}

/** Uploads so many bytes as one file, and resolves to its path. Nothing looks into a disk image, so they may be any. */
export async function uploadHuge(port: number, size: number): Promise<string> {
  const boundary = 'huge'
  const field = (name: string, value: string): string => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const head = Buffer.from(`${field(':action', 'file_upload')}${field('name', 'huge')}${field('version', '1.0')}--${boundary}\r\nContent-Disposition: form-data; name="content"; filename="huge-1.0.dmg"\r\n\r\n`)
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const piece = randomBytes(MB)
  const hash = createHash('sha256')
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const answered = once(socket, 'data') as Promise<[Buffer]>
  socket.write(`POST /alice/dev/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${AUTH}\r\nContent-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: ${head.length + size + tail.length}\r\n\r\n`)
  socket.write(head)
  for (let sent = 0; sent < size; sent += piece.length) {
    hash.update(piece)
    if (!socket.write(piece)) await once(socket, 'drain')
  }
  socket.write(tail)
  const answer = String((await answered)[0])
  socket.destroy()
  if (!answer.startsWith('HTTP/1.1 200')) throw new Error(`the upload was answered with ${answer}`)
  const sha256 = hash.digest('hex')
  return `/alice/dev/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/huge-1.0.dmg`
}
