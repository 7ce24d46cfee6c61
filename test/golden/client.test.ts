import { request } from 'node:http'
import { startServer } from '#test/support/server.js'
import { bodyOf, readSession, type RecordedCommand, type RecordedRequest } from './client-session.js'

/** Where our answer is another one on purpose. W-numbers are those of the specification's list of warts. */
const INTENDED: readonly { readonly command: RegExp; readonly status?: number; readonly message?: RegExp; readonly because: string }[] = [
  { command: /^devpi push hello-pkg==1\.0 testuser\/staging$/, status: 200, because: 'to push what is there with the same bytes is a success (W19)' },
  { command: /^devpi index -y --delete testuser\/dev$/, status: 404, message: /could not be found/, because: 'a missing index is 404, not 403 (W46)' },
  { command: /^devpi remove -y hello-pkg$/, message: /project hello-pkg is on non-volatile index/, because: 'plain names instead of object representations (W43)' },
  { command: /^devpi user -m root /, message: /no permission to modify user root/, because: 'plain names instead of object representations (W43)' },
]

test('every request of the reference client is answered as it expects', async () => {
  await using server = await startServer()
  const unexpected: string[] = []
  const used = new Set<object>()
  let auth = ''
  const places = new Map<string, string>()
  for (const command of readSession()) {
    let position = 0
    for (const recorded of command.http) {
      const path = placeOf(places, recorded.path)
      const reply = await send(server.url, recorded, path, auth, bodyOf(command, recorded, position++))
      const found = check(command, recorded, reply)
      const intended = INTENDED.find((known) => known.command.test(command.command) && isIntended(known, reply))
      if (found !== undefined && intended === undefined) unexpected.push(`${command.command}: ${recorded.method} ${path}: ${found}`)
      if (found !== undefined && intended !== undefined) used.add(intended)
      auth = authAfter(recorded, command, reply) ?? auth
      learnPlaces(places, reply.body)
    }
  }
  expect(unexpected).toEqual([])
  expect(INTENDED.filter((known) => !used.has(known))).toEqual([])
  expect(server.log.filter((line) => line.includes('a request failed'))).toEqual([])
})

interface Reply {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

function check({ output }: RecordedCommand, { method, status, req_headers: headers }: RecordedRequest, reply: Reply): string | undefined {
  if (reply.status !== status) return `${reply.status} instead of ${status}: ${reply.body.slice(0, 200)}`
  const wantsJson = headers['Accept'] === 'application/json'
  if (wantsJson && reply.contentType !== 'application/json') return `the type ${reply.contentType}`
  if (status < 400 || !wantsJson) return undefined
  // The client prints the message behind the status.
  const { message } = JSON.parse(reply.body) as { message: string }
  return output.some((line) => line.startsWith(`${status} `) && line.includes(message)) ? undefined : `${method} says ${message}`
}

function isIntended(known: (typeof INTENDED)[number], reply: Reply): boolean {
  return (known.status ?? reply.status) === reply.status && (known.message?.test(reply.body) ?? true)
}

/** Our files have other hashes than the recorded ones: the place of a file is learnt from the JSON that lists it. */
function placeOf(places: ReadonlyMap<string, string>, path: string): string {
  const [, basename] = /^\/testuser\/dev\/(?:\+|%2B)f\/[^/]+\/[^/]+\/([^/?]+)$/.exec(path) ?? []
  if (basename === undefined) return path
  return places.get(basename.replaceAll('_', '-')) ?? path
}

function learnPlaces(places: Map<string, string>, body: string): void {
  for (const [, path = '', basename = ''] of body.matchAll(/"(?:href":"http:\/\/[^/"]+|url":"\.\.\/\.\.)(\/[^"]*\+f\/[^/"]+\/[^/"]+\/([^/"#]+))"/g)) {
    places.set(basename.replaceAll('_', '-'), path.startsWith('/+f') ? `/testuser/dev${path}` : path)
  }
}

function authAfter({ path, status }: RecordedRequest, { command }: RecordedCommand, { body }: Reply): string | undefined {
  if (path !== '/+login' || status !== 200) return undefined
  const { result } = JSON.parse(body) as { result: { password: string } }
  return Buffer.from(`${command.split(' ')[2]}:${result.password}`).toString('base64')
}

async function send(url: string, recorded: RecordedRequest, path: string, auth: string, body: string | FormData | undefined): Promise<Reply> {
  const encoded = body === undefined ? undefined : new Response(body)
  const bytes = encoded === undefined ? undefined : Buffer.from(await encoded.arrayBuffer())
  const headers: Record<string, string> = { ...recorded.req_headers, 'Content-Length': String(bytes?.length ?? 0) }
  if ('X-Devpi-Auth' in headers) headers['X-Devpi-Auth'] = auth
  if ('Authorization' in headers) headers['Authorization'] = `Basic ${auth}`
  if (body instanceof FormData) headers['Content-Type'] = encoded?.headers.get('content-type') ?? ''
  return new Promise((resolve, reject) => {
    const outgoing = request(url + path, { method: recorded.method, headers }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => {
        resolve({ status: incoming.statusCode ?? 0, contentType: incoming.headers['content-type'] ?? '', body: Buffer.concat(chunks).toString() })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(bytes)
  })
}
