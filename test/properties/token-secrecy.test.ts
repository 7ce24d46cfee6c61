import { createHash } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import type { CreatedTokenJson } from '#log-format/api/tokens.js'
import { toSerial } from '#log-format/serial.js'
import { main as dump } from '#scripts/log-dump.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'
import { uploadForm } from '#test/support/upload-form.js'

/** Whatever of a token could be used, or tried against: itself, its secret half, and its hash. */
function secretsOf(token: string): string[] {
  const hash = createHash('sha256').update(token).digest()
  return [token, token.slice(-43), hash.toString('hex'), hash.toString('base64'), hash.toString('latin1')]
}

const carriers: readonly ((token: string) => Record<string, string>)[] = [
  (token) => ({ Authorization: `Bearer ${token}` }),
  (token) => ({ Authorization: `Basic ${btoa(`__token__:${token}`)}` }),
  (token) => ({ Authorization: `Basic ${btoa(`alice:${token}`)}` }),
  (token) => ({ Authorization: `Basic ${btoa(`olga:${token}`)}` }),
  (token) => ({ Authorization: `Basic ${btoa(`${token}:`)}` }), // a slip of people
  (token) => ({ 'X-Devpi-Auth': btoa(`alice:${token}`) }),
]

const requests: readonly ((token: string) => [string, RequestInit])[] = [
  () => ['/+api', {}],
  () => ['/alice/dev/+simple/demo/', {}],
  () => ['/alice/dev', { method: 'PATCH', body: '{"title": "new"}' }],
  () => ['/alice/dev/demo/1.0', { method: 'DELETE' }],
  () => ['/alice/dev/', { method: 'POST', body: uploadForm(wheel('demo', '1.0')) }],
  () => ['/alice/+tokens', { method: 'POST', body: JSON.stringify({ name: 'another', actions: ['read'], indexes: ['*'] }) }],
  () => ['/alice/+tokens', {}],
  (token) => ['/+login', { method: 'POST', body: JSON.stringify({ user: 'alice', password: token }) }],
  (token) => [`/alice/+tokens/${token.split('_')[1]}`, { method: 'DELETE' }],
]

const step = fc.record({ carry: fc.constantFrom(...carriers), request: fc.constantFrom(...requests), which: fc.nat(), cut: fc.nat(3) })

async function newToken(user: TestUser, actions: readonly string[]): Promise<string> {
  const reply = await user.post('/alice/+tokens', { name: 'secret ci', actions, indexes: ['*'] })
  return ((await reply.json()) as { result: CreatedTokenJson }).result.token
}

/** Everything the log says, byte for byte, and every line for the operator. */
async function written(server: TestServer): Promise<string> {
  const pieces: string[] = [...server.log]
  for await (const batch of server.running.storage.entries.read(toSerial(0))) {
    for (const { bytes } of batch) pieces.push(Buffer.from(bytes).toString('latin1'))
  }
  return pieces.join('\n')
}

test('whatever is done with tokens, no entry of the log and no line for the operator has one', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { dev: {} })
  const tokens = [await newToken(alice, ['admin']), await newToken(alice, ['upload'])]
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
      tokens.push(await newToken(alice, ['admin']))
      for (const { carry, request, which, cut } of steps) {
        const token = tokens[which % tokens.length] ?? ''
        const sent = cut === 0 ? token.slice(0, -1) : token
        const [path, init] = request(sent)
        const reply = await server.fetch(path, { ...init, headers: { Accept: 'application/json', ...carry(sent) } })
        const text = await reply.text()
        for (const [made] of text.matchAll(/devpi_[0-9a-f]{16}_[\w-]{43}/g)) {
          expect([init.method, reply.status]).toEqual(['POST', 201]) // shown once, to who made it
          tokens.push(made)
        }
      }
      const everything = await written(server)
      expect(tokens.flatMap(secretsOf).filter((secret) => everything.includes(secret))).toEqual([])
    }),
    { numRuns: 15 },
  )
  expect(tokens.length).toBeGreaterThan(15)
})

test('a fault in a request with a token is reported without it', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { dev: {} })
  const token = await newToken(alice, ['upload'])
  await rm(join(server.serverDir, 'files'), { recursive: true })
  for (const carry of carriers.slice(0, 3)) {
    const reply = await server.fetch('/alice/dev/', { method: 'POST', body: uploadForm(wheel('demo', '1.0')), headers: carry(token) })
    expect(reply.status).toBe(500)
  }
  const lines = server.log.join('\n')
  expect(lines).toContain('a request failed')
  expect(secretsOf(token).filter((secret) => lines.includes(secret))).toEqual([])
})

test('log-dump shows what tokens are for and not what they are, and no file of the server has one', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { dev: {} })
  const token = await newToken(alice, ['read', 'upload'])
  const [, id = ''] = token.split('_')
  await alice.delete(`/alice/+tokens/${id}`)
  const kept = await newToken(alice, ['admin'])
  await alice.patch('/alice', { revoke_tokens: true })
  await server.stop()

  let text = ''
  for (const format of [[], ['--json']]) await dump(['--serverdir', server.serverDir, ...format], (more) => (text += more))
  expect(text).toContain(`created API token ${id} 'secret ci' of user alice: read, upload on *`)
  expect(text).toContain(`revoked API token ${id} 'secret ci' of user alice`)
  expect(text).toContain(`revoked API tokens ${kept.split('_')[1]} of user alice`)
  expect([token, kept].flatMap(secretsOf).filter((secret) => text.includes(secret))).toEqual([])

  // The vault has hashes, so only what can be used is looked for here.
  for (const entry of await readdir(server.serverDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const bytes = await readFile(join(entry.parentPath, entry.name), 'latin1')
    for (const secret of [token, kept]) expect(bytes.includes(secret.slice(-43))).toBe(false)
  }
})
