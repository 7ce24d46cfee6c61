import { writeFile } from 'node:fs/promises'
import { sdist, wheel } from '#test/support/archives.js'
import { startServer } from '#test/support/server.js'
import { listen, type Listening, plain } from './listening.js'
import { DevpiHome } from './run-devpi.js'

const ATTESTATION = { version: 1, verification_material: { certificate: 'AAAA', transparency_entries: [{}] }, envelope: { statement: 'AAAA', signature: 'AAAA' } }

let home: DevpiHome
beforeEach(async () => {
  home = await DevpiHome.open()
  const { filename, bytes } = sdist('kite', '1.0')
  await put(filename, bytes)
  await put('kite-1.0-py3-none-any.whl', wheel('kite', '1.0').bytes)
  await put('kite-1.0.tar.gz.publish.attestation', JSON.stringify(ATTESTATION))
  await put('kite-1.0.tar.gz.asc', 'a signature')
})
afterEach(() => home[Symbol.asyncDispose]())

async function put(name: string, content: string | Uint8Array): Promise<void> {
  await writeFile(home.path(name), content)
}

interface UploadServer extends Listening {
  readonly forms: readonly string[]
}

/** Takes uploads, and says what their forms held. */
async function takingUploads(features: readonly string[]): Promise<UploadServer> {
  const forms: string[] = []
  const server = await listen(plain, (req, res) => {
    const root = `http://${req.headers.host ?? ''}`
    const index = `${root}/ada/dev`
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      if (req.method === 'POST') forms.push(Buffer.concat(chunks).toString('latin1'))
      const result = { login: `${root}/+login`, authstatus: ['noauth', '', []], features, index, simpleindex: `${index}/+simple/`, pypisubmit: `${index}/` }
      res.writeHead(200, { 'Content-Type': 'application/json', 'X-DEVPI-API-VERSION': '2' }).end(JSON.stringify({ type: 'apiconfig', result }))
    })
  })
  return { ...server, forms }
}

test('attestations are sent with the file they are for, where the server takes them', async () => {
  await using server = await takingUploads(['attestations'])
  await put('kite-1.0.tar.gz.slsa.attestation', JSON.stringify({ ...ATTESTATION, envelope: { statement: 'BBBB', signature: 'BBBB' } }))
  const ran = await home.run(['upload', '--index', `${server.url}/ada/dev`, '--jobs', '1', '--json', ...['kite-1.0-py3-none-any.whl', 'kite-1.0.tar.gz', 'kite-1.0.tar.gz.asc', 'kite-1.0.tar.gz.publish.attestation']])
  expect(ran).toMatchObject({ code: 0, err: [], json: { uploads: [{ ok: true, attestations: 0 }, { ok: true, attestations: 2 }] } })
  const sent = server.forms.map((form) => /name="attestations"\r\n\r\n(.*)\r\n/.exec(form)?.[1])
  expect(sent[0]).toBeUndefined()
  expect(JSON.parse(sent[1] ?? '')).toEqual([ATTESTATION, { ...ATTESTATION, envelope: { statement: 'BBBB', signature: 'BBBB' } }])
})

test.each(['no JSON', '[]', '{"version": 2}', JSON.stringify({ ...ATTESTATION, envelope: null }), JSON.stringify({ ...ATTESTATION, more: 'x'.repeat(300_000) })])('%.30s is no attestation; its file is not uploaded, others are', async (content) => {
  await using server = await takingUploads(['attestations'])
  await put('kite-1.0.tar.gz.publish.attestation', content)
  const ran = await home.run(`upload --index ${server.url}/ada/dev --json kite-1.0.tar.gz kite-1.0-py3-none-any.whl`)
  const reason = 'kite-1.0.tar.gz.publish.attestation: is no attestation of version 1'
  expect(ran).toMatchObject({ code: 1, err: [reason], json: { uploads: [{ ok: true, file: home.path('kite-1.0-py3-none-any.whl') }, { ok: false, status: null, reason }] } })
  expect(server.forms).toHaveLength(1)
})

test('a server that takes none gets the files alone, and the user is told', async () => {
  await using server = await startServer()
  for (const line of [`use ${server.url}`, 'user -c ada password=', 'login ada --password=', 'index -c dev bases=', 'use dev']) await home.succeed(line)
  const ran = await home.run('upload kite*')
  expect(ran).toMatchObject({ code: 0, err: ['1 attestation is not sent: the server takes none'] })
  expect(await home.succeed('list kite')).toHaveLength(2)
  expect(await home.run('upload kite-1.0.tar.gz.asc')).toMatchObject({ code: 1, err: ['nothing to upload found in kite-1.0.tar.gz.asc'] })
})
