import { request } from 'node:http'
import { startServer } from '#test/support/server.js'
import { compareReplies, type Reply } from './compare.js'
import { INTENDED, type IntendedDifference } from './differences.js'
import { type Exchange, type OutgoingRequest, readRecording, requestOf } from './recording.js'

const seen = new Set<IntendedDifference>()

test.each(['01-fresh', '02-quickstart', '04-patch'])('%s is answered as the reference does', async (name) => {
  await using server = await startServer({ config: { trustedProxies: ['127.0.0.1'] } })
  const unexpected: string[] = []
  let auth: string | undefined
  let toxTime = ''
  for (const exchange of readRecording(name)) {
    const path = exchange.path.replace(/toxresult-\d{14}-/, toxTime)
    const reply = await send(server.url, exchange.method, path, requestOf(exchange, auth))
    for (const difference of compareReplies(exchange, reply)) {
      const step = `${name}: ${exchange.step}`
      const intended = INTENDED.filter(({ steps, at }) => steps.test(step) && at.test(difference.at))
      for (const known of intended) seen.add(known)
      if (intended.length === 0) unexpected.push(`${step} | ${difference.at} | ${difference.recorded} | ${difference.ours}`)
    }
    auth = authAfter(exchange, reply) ?? auth
    toxTime = /toxresult-\d{14}-/.exec(exchange.method === 'POST' ? reply.body.toString('latin1') : '')?.[0] ?? toxTime
  }
  expect(unexpected).toEqual([])
  expect(server.log.filter((line) => line.includes('a request failed'))).toEqual([])
})

test('every difference on the list is there', () => {
  expect(INTENDED.filter((difference) => !seen.has(difference))).toEqual([])
})

function send(url: string, method: string, path: string, { headers, body }: OutgoingRequest): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url + path, { method, headers: { ...headers, 'Content-Length': body?.length ?? 0 } }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => {
        resolve({ status: incoming.statusCode ?? 0, location: incoming.headers.location, body: Buffer.concat(chunks) })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** The credentials that a successful login gives for what follows. */
function authAfter({ path, req_json: json }: Exchange, reply: Reply): string | undefined {
  if (path !== '/+login' || reply.status !== 200) return undefined
  const { user } = json as { user: string }
  const { result } = JSON.parse(reply.body.toString()) as { result: { password: string } }
  return Buffer.from(`${user}:${result.password}`).toString('base64')
}
