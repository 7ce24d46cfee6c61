import { readdir, writeFile } from 'node:fs/promises'
import type { CreatedTokenJson } from '#log-format/api/tokens.js'
import { wheel } from '#test/support/archives.js'
import { testWith, Workshop } from '#test/support/real-clients.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const withPip = testWith(['venv', 'ensurepip'])
const withTwine = testWith(['twine'])

const WHEEL = 'hidden-1.0-py3-none-any.whl'

let workshop: Workshop
let pip: string
let server: TestServer
let alice: TestUser
let host: string
beforeAll(async () => {
  workshop = await Workshop.open()
  pip = await workshop.venv('shared').catch(() => 'pip')
  server = await startServer()
  alice = await server.signUp('alice', { dev: { acl_read: ['alice'] }, prod: { acl_read: ['alice'] } })
  await alice.upload('dev', wheel('hidden', '1.0'))
  host = new URL(server.url).host
}, 60_000)
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await workshop[Symbol.asyncDispose]()
})

/** The text of a new token for `alice/dev`, and how to revoke it. */
async function newToken(...actions: readonly string[]): Promise<{ readonly token: string; readonly revoke: () => Promise<unknown> }> {
  const reply = await alice.post('/alice/+tokens', { name: 'conformance', actions, indexes: ['alice/dev'] })
  const { id, token } = ((await reply.json()) as { result: CreatedTokenJson }).result
  return { token, revoke: () => alice.delete(`/alice/+tokens/${id}`) }
}

/** Runs `pip download` into a new folder; `files` is what it left there. */
async function download(name: string, indexUrl: string, env: NodeJS.ProcessEnv = {}) {
  const folder = workshop.path(name)
  const args = ['download', '-vv', '--no-input', '--no-deps', '--dest', folder, '--index-url', indexUrl, 'hidden']
  const { code, output } = await workshop.run(pip, args, { env })
  return { code, output, files: await readdir(folder).catch(() => []) }
}

describe('pip', () => {
  withPip.each([
    ['with the name of all tokens', '__token__'],
    ['with the name of its user', 'alice'],
  ])('takes a token in the URL, %s', async (_, user) => {
    const { token } = await newToken('read')
    expect(await download(`url-${user}`, `http://${user}:${token}@${host}/alice/dev/+simple/`)).toMatchObject({ code: 0, files: [WHEEL] })
  })

  withPip('takes a token from netrc, and prints it nowhere', async () => {
    const { token, revoke } = await newToken('read')
    const netrc = workshop.path('netrc')
    await writeFile(netrc, `machine 127.0.0.1 login __token__ password ${token}\n`, { mode: 0o600 })
    const done = await download('netrc-files', `${server.url}/alice/dev/+simple/`, { NETRC: netrc })
    expect(done).toMatchObject({ code: 0, files: [WHEEL] })
    expect(done.output).not.toContain(token)

    await revoke()
    const { code, output } = await download('netrc-revoked', `${server.url}/alice/dev/+simple/`, { NETRC: netrc })
    expect(code).not.toBe(0)
    expect(output).toContain('this API token is not known here, or was revoked')
  })

  withPip('is told what is wrong with a token', async () => {
    const { token } = await newToken('upload')
    const upload = await download('not-for-reading', `http://__token__:${token}@${host}/alice/dev/+simple/`)
    expect(upload.code).not.toBe(0)
    expect(upload.output).toContain("403 Client Error: this API token is not for the action 'read'")
    const reader = await newToken('read')
    const elsewhere = await download('elsewhere', `http://__token__:${reader.token}@${host}/alice/prod/+simple/`)
    expect(elsewhere.output).toContain('403 Client Error: this API token is not for the index alice/prod')
  })
})

describe('twine', () => {
  async function twine(index: string, token: string, version: string) {
    const { filename, bytes } = wheel('demo', version)
    const path = workshop.path(filename)
    await writeFile(path, bytes)
    const options = ['--disable-progress-bar', '--non-interactive', '--repository-url', `${server.url}/alice/${index}/`]
    return workshop.run('twine', ['upload', ...options, path], { env: { TWINE_USERNAME: '__token__', TWINE_PASSWORD: token } })
  }

  withTwine('uploads as __token__', async () => {
    const { token, revoke } = await newToken('upload')
    expect((await twine('dev', token, '1.0')).code).toBe(0)
    expect((await alice.get('/alice/dev/demo/1.0')).status).toBe(200)

    const elsewhere = await twine('prod', token, '1.0')
    expect(elsewhere.code).not.toBe(0)
    expect(elsewhere.output).toMatch(/403 Forbidden from \S+\s+this API token is not for the index alice\/prod/)

    await revoke()
    const revoked = await twine('dev', token, '1.1')
    expect(revoked.code).not.toBe(0)
    expect(revoked.output).toMatch(/401 Unauthorized from \S+\s+this API token is not known here, or was revoked/)
    expect(revoked.output).not.toContain(token)
  })
})
