import busboy from '@fastify/busboy'
import { Level } from 'level'
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
 * hashes, writes, syncs and renames, and keeps no log, unless `logging` is the
 * second argument: then it writes as many rows of as many bytes as an upload is in ours, and no more.
 */
const folder = process.argv[2] ?? '.'
const log = process.argv[3] === 'logging' ? new Level<string, Uint8Array>(join(folder, 'bare-log'), { valueEncoding: 'view' }) : undefined

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
  if (log !== undefined) await writeRows(log)
  response.writeHead(200, { 'Content-Length': 0 }).end()
}

/** What an upload is in the log: an entry, and the rows that follow from it. */
const ROWS = 11
const ROW_BYTES = 215

let waiting: (() => void)[] = []
let writing = false
let rows = 0

/** Uploads that come while a batch is being synced share the next one. */
function writeRows(db: Level<string, Uint8Array>): Promise<void> {
  const written = new Promise<void>((resolve) => waiting.push(resolve))
  if (!writing) void writeBatches(db)
  return written
}

async function writeBatches(db: Level<string, Uint8Array>): Promise<void> {
  writing = true
  while (waiting.length > 0) {
    const uploads = waiting
    waiting = []
    const batch = db.batch()
    for (let row = 0; row < ROWS * uploads.length; row += 1) batch.put(`a row, as long as those of the log are, ${(rows += 1)}`, new Uint8Array(ROW_BYTES).fill(rows))
    await batch.write({ sync: true })
    for (const done of uploads) done()
  }
  writing = false
}

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`ready: http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
process.on('SIGTERM', () => process.exit(0))
