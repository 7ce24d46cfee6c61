import { createHash, randomBytes } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/*
 * An upstream for mirrors, out of memory: every project called `wide-{n}` has
 * 3,000 files, every `slim-{n}` fifty, and every `huge-{n}` one of so many MB as
 * the argument says, each of another content.
 */
const MB = 1024 * 1024
const hugeBytes = Number(process.argv[2] ?? 100) * MB
const FILES: Readonly<Record<string, number>> = { wide: 3000, slim: 50 }

const pages = new Map<string, Buffer>()
const base = randomBytes(MB)

const server = createServer((request, response) => {
  const [, folder, name = ''] = (request.url ?? '').split('/')
  if (folder === 'simple') sendPage(response, name)
  else void sendHuge(response, name)
})

function sendPage(response: ServerResponse, project: string): void {
  const page = pages.get(project) ?? Buffer.from(JSON.stringify({ meta: { 'api-version': '1.1' }, name: project, versions: [], files: filesOf(project) }))
  pages.set(project, page)
  response.writeHead(200, { 'Content-Type': 'application/vnd.pypi.simple.v1+json', 'Content-Length': page.length, ETag: `"${project}"` }).end(page)
}

function filesOf(project: string): object[] {
  const count = FILES[project.split('-', 1)[0] ?? '']
  if (count === undefined) return [fileOf(`${project.replace('-', '_')}-1.0-py3-none-any.whl`, `/huge/${project}`, hugeDigest(project), hugeBytes)]
  return Array.from({ length: count }, (_, at) => {
    const filename = `${project.replace('-', '_')}-${1 + Math.floor(at / 10)}.${at % 10}-py3-none-any.whl`
    const sha256 = createHash('sha256').update(filename).digest('hex')
    return fileOf(filename, `https://files.example.net/packages/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256.slice(4)}/${filename}`, sha256, 50_000 + at)
  })
}

function fileOf(filename: string, url: string, sha256: string, size: number): object {
  return {
    filename, url, size,
    hashes: { sha256 },
    'requires-python': '>=3.9',
    'upload-time': '2024-01-02T03:04:05.678901Z',
    yanked: false,
    'core-metadata': { sha256: createHash('sha256').update(sha256).digest('hex') },
  }
}

function hugeDigest(project: string): string {
  const hash = createHash('sha256')
  for (const piece of piecesOf(project)) hash.update(piece)
  return hash.digest('hex')
}

function* piecesOf(project: string): Generator<Buffer> {
  const first = Buffer.from(base)
  first.write(project)
  for (let at = 0; at < hugeBytes; at += MB) yield (at === 0 ? first : base).subarray(0, hugeBytes - at)
}

async function sendHuge(response: ServerResponse, project: string): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': hugeBytes })
  for (const piece of piecesOf(project)) {
    if (response.destroyed) return
    if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve))
  }
  response.end()
}

server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`ready: http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
process.on('SIGTERM', () => process.exit(0))
