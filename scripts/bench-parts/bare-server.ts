import busboy from '@fastify/busboy'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { open, readFile, rename } from 'node:fs/promises'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

/*
 * What the server is compared with: the least that sends the same bytes and
 * headers, or takes the same form. `/file?how=` serves `file.bin`;
 * `/relay?url=` passes on what is there, `&keeping` hashes and writes it on the way; any other
 * GET, so that it can be the very request that the server gets, is answered
 * with `reply.json` (status, headers) and `reply.bin`; POST parses a form,
 * hashes, writes, syncs and renames, and keeps no log.
 */
const folder = process.argv[2] ?? '.'

interface Reply {
  readonly status: number
  readonly headers: readonly string[]
}

let reply: { head: Reply; body: Buffer } | undefined
let fileInMemory: Buffer | undefined

const server = createServer((request, response) => {
  if (request.method === 'POST') void takeForm(request, response)
  else if (request.url?.startsWith('/file?') === true) void sendFile(request, response)
  else if (request.url?.startsWith('/relay?') === true) relay(request.url, response)
  else sendReply(response)
})

function sendReply(response: ServerResponse): void {
  reply ??= {
    head: JSON.parse(readFileSync(join(folder, 'reply.json'), 'utf8')) as Reply,
    body: readFileSync(join(folder, 'reply.bin')),
  }
  response.writeHead(reply.head.status, [...reply.head.headers])
  response.end(reply.head.status === 304 ? undefined : reply.body)
}

async function sendFile(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = join(folder, 'file.bin')
  const headers = JSON.parse(readFileSync(join(folder, 'file.json'), 'utf8')) as string[]
  response.writeHead(200, headers)
  if (request.url === '/file?how=memory') {
    fileInMemory ??= readFileSync(path)
    response.end(fileInMemory)
  } else if (request.url === '/file?how=whole') {
    response.end(await readFile(path))
  } else {
    createReadStream(path, { highWaterMark: 256 * 1024 }).pipe(response)
  }
}

/** Writes behind what it passes on, as fast as the client takes it. */
function relay(address: string, response: ServerResponse): void {
  const { searchParams } = new URL(address, 'http://localhost')
  get(searchParams.get('url') ?? '', (source) => {
    response.writeHead(source.statusCode ?? 502, source.headers)
    if (searchParams.has('keeping')) {
      const hash = createHash('sha256')
      const file = createWriteStream(join(folder, 'relayed.bin'), { highWaterMark: 1024 * 1024 })
      source.on('data', (chunk: Buffer) => hash.update(chunk))
      source.pipe(file)
    }
    source.pipe(response)
  })
}

let uploads = 0

async function takeForm(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const form = new busboy.Busboy({ headers: { 'content-type': request.headers['content-type'] ?? '' } })
  const chunks: Buffer[] = []
  const hash = createHash('sha256')
  form.on('file', (_name, stream) => {
    stream.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      chunks.push(chunk)
    })
  })
  await new Promise<void>((resolve) => {
    form.on('finish', resolve)
    request.pipe(form)
  })
  const temp = join(folder, `upload-${(uploads += 1)}`)
  const file = await open(temp, 'w')
  await file.writev(chunks)
  await file.sync()
  await file.close()
  await rename(temp, join(folder, hash.digest('hex')))
  response.writeHead(200, { 'Content-Length': 0 }).end()
}

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`ready: http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
process.on('SIGTERM', () => process.exit(0))
