import { appendFile, readdir, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ReleaseFile, sdist, wheel } from '#test/support/archives.js'
import { testWith, Workshop } from '#test/support/real-clients.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const withPip = testWith(['venv', 'ensurepip'])
const withTwine = testWith(['twine'])

let workshop: Workshop
let pip: string
beforeAll(async () => {
  workshop = await Workshop.open()
  pip = await workshop.venv('shared').catch(() => 'pip')
}, 60_000)
afterAll(() => workshop[Symbol.asyncDispose]())

/** Downloads with pip into a new folder and gives the file names. */
async function download(url: string, requirement: string, ...more: readonly string[]): Promise<string[]> {
  const folder = workshop.path(`download-${Math.random().toString(36).slice(2)}`)
  await workshop.succeed(pip, ['download', '--no-deps', '--dest', folder, '--index-url', url, ...more, requirement])
  return (await readdir(folder)).sort()
}

async function upload(user: TestUser, index: string, ...files: readonly ReleaseFile[]): Promise<void> {
  for (const file of files) expect((await user.upload(index, file)).status).toBe(200)
}

describe('pip', () => {
  let server: TestServer
  let alice: TestUser
  beforeAll(async () => {
    server = await startServer()
    alice = await server.signUp('alice', { dev: {}, base: {}, secret: { acl_read: ['alice'] } })
    await alice.patch('/alice/dev', ['bases+=alice/base'])
    await upload(alice, 'dev', wheel('demo', '1.0'), sdist('demo', '1.0'), wheel('demo', '1.1'))
    await upload(alice, 'base', wheel('below', '3.0'), wheel('demo', '0.9'))
    await upload(alice, 'secret', wheel('hidden', '1.0'))
  })
  afterAll(() => server[Symbol.asyncDispose]())

  withPip.each(['/alice/dev/+simple/', '/alice/dev/simple/', '/alice/dev/', '/alice/dev'])('finds the newest at %s', async (path) => {
    expect(await download(server.url + path, 'demo')).toEqual(['demo-1.1-py3-none-any.whl'])
  })

  withPip('finds what a base has, and older versions', async () => {
    expect(await download(`${server.url}/alice/dev/+simple/`, 'below')).toEqual(['below-3.0-py3-none-any.whl'])
    expect(await download(`${server.url}/alice/dev/+simple/`, 'demo==0.9')).toEqual(['demo-0.9-py3-none-any.whl'])
  })

  withPip('takes the sdist when told to', async () => {
    expect(await download(`${server.url}/alice/dev/+simple/`, 'demo==1.0', '--no-binary', ':all:', '--no-build-isolation')).toEqual(['demo-1.0.tar.gz'])
  })

  withPip('passes a yanked version over unless it is pinned', async () => {
    await upload(alice, 'dev', wheel('shaky', '1.0'), wheel('shaky', '2.0'))
    await alice.patch('/alice/dev/shaky/2.0', { yanked: 'shakes' })
    expect(await download(`${server.url}/alice/dev/+simple/`, 'shaky')).toEqual(['shaky-1.0-py3-none-any.whl'])
    const pinned = await workshop.run(pip, ['download', '--no-deps', '-d', workshop.path('pinned'), '-i', `${server.url}/alice/dev/+simple/`, 'shaky==2.0'])
    expect(pinned.output).toContain('shakes')
    expect(pinned.code).toBe(0)
  })

  withPip('respects what a file says of Python', async () => {
    await upload(alice, 'dev', wheel('modern', '1.0'), wheel('modern', '2.0', { metadata: { 'Requires-Python': '>=99' } }))
    expect(await download(`${server.url}/alice/dev/+simple/`, 'modern')).toEqual(['modern-1.0-py3-none-any.whl'])
  })

  withPip('needs credentials where reading is limited, and sends them', async () => {
    const path = '/alice/secret/+simple/'
    const anonymous = await workshop.run(pip, ['download', '--no-input', '-d', workshop.path('no'), '-i', server.url + path, 'hidden'])
    expect(anonymous.code).not.toBe(0)
    const url = `${server.url}${path}`.replace('http://', `http://alice:${encodeURIComponent('alice secret')}@`)
    expect(await download(url, 'hidden')).toEqual(['hidden-1.0-py3-none-any.whl'])
  })

  withPip('installs an index as it was', async () => {
    const before = server.head()
    await upload(alice, 'dev', wheel('demo', '5.0'))
    expect(await download(`${server.url}/alice/dev/+at/${before}/+simple/`, 'demo')).toEqual(['demo-1.1-py3-none-any.whl'])
    await alice.delete('/alice/dev/demo/1.1')
    expect(await download(`${server.url}/alice/dev/+at/${before}/+simple/`, 'demo')).toEqual(['demo-1.1-py3-none-any.whl'])
    await alice.delete('/alice/dev/demo/5.0')
  })

  withPip('refuses a file that is not the one on the page', async () => {
    const file = wheel('tampered', '1.0')
    await upload(alice, 'dev', file)
    const [row] = ((await (await alice.get('/alice/dev/+simple/tampered/', { Accept: 'application/vnd.pypi.simple.v1+json' })).json()) as {
      files: { hashes: { sha256: string } }[]
    }).files
    const path = server.running.blobs.path(row!.hashes.sha256)
    await writeFile(path, Buffer.alloc(file.bytes.length))
    const { code, output } = await workshop.run(pip, ['download', '--no-deps', '-d', workshop.path('tampered'), '-i', `${server.url}/alice/dev/+simple/`, 'tampered'])
    expect(code).not.toBe(0)
    expect(output).toMatch(/HASHES|hash/i)
  })

  // Through HTML, where pip 23.0 and older know it too; in JSON they look for a name that PEP 714 retired.
  withPip('reads core metadata without the wheel', async () => {
    const asked: string[] = []
    const proxy = createServer((incoming, outgoing) => {
      asked.push(incoming.url ?? '')
      incoming.pipe(
        request(server.url + (incoming.url ?? ''), { headers: { ...incoming.headers, accept: 'text/html' } }, (reply) => {
          outgoing.writeHead(reply.statusCode ?? 500, reply.headers)
          reply.pipe(outgoing)
        }),
      )
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => proxy.once('listening', resolve))
    await upload(alice, 'dev', wheel('wants', '1.0', { metadata: { 'Requires-Dist': ['absent-dependency'] } }))
    const { output } = await workshop.run(pip, ['install', '--dry-run', '-i', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/alice/dev/+simple/`, 'wants'])
    proxy.close()
    proxy.closeAllConnections()
    expect(output).toContain('absent-dependency')
    expect(asked.filter((path) => path.endsWith('.metadata'))).toHaveLength(1)
    expect(asked.filter((path) => path.endsWith('.whl'))).toEqual([])
  })
})

describe('twine', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startServer()
    await server.signUp('alice', { dev: {}, prod: { volatile: false } })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  async function twine(index: string, file: ReleaseFile, ...more: readonly string[]) {
    const path = workshop.path(file.filename)
    await writeFile(path, file.bytes)
    const options = ['--disable-progress-bar', '--repository-url', `${server.url}/alice/${index}/`, '-u', 'alice']
    return workshop.run('twine', ['upload', ...options, ...(more.includes('-p') ? [] : ['-p', 'alice secret']), ...more, path])
  }

  withTwine('uploads, and the same file again', async () => {
    expect((await twine('prod', wheel('demo', '1.0'))).code).toBe(0)
    const head = server.head()
    expect((await twine('prod', wheel('demo', '1.0'))).code).toBe(0)
    expect(server.head()).toBe(head)
  })

  withTwine('is told that another file of the name exists, or skips it', async () => {
    const other = wheel('demo', '1.0', { extra: { 'more.txt': Buffer.from('more') } })
    const { code, output } = await twine('prod', other)
    expect(code).not.toBe(0)
    expect(output).toContain('409')
    expect(output).toContain('already exists in non-volatile index')
    expect((await twine('prod', other, '--skip-existing')).code).toBe(0)
  })

  withTwine('is told of a wrong password', async () => {
    const { code, output } = await twine('dev', sdist('demo', '1.0'), '-p', 'guessed')
    expect(code).not.toBe(0)
    expect(output).toContain('401')
  })

  withTwine('is told of a file that is no wheel', async () => {
    const file = sdist('broken', '1.0')
    const path = workshop.path('broken-1.0.tar.gz')
    await writeFile(path, file.bytes.subarray(0, file.bytes.length >> 1))
    await appendFile(path, 'x')
    const { code } = await workshop.run('twine', ['upload', '--disable-progress-bar', '--repository-url', `${server.url}/alice/dev/`, '-u', 'alice', '-p', 'alice secret', path])
    expect(code).not.toBe(0)
  })
})

testWith(['tox', 'build', 'setuptools'])('tox installs a dependency from an index', async () => {
  await using server = await startServer()
  const alice = await server.signUp('alice', { dev: {} })
  await upload(alice, 'dev', wheel('depended-on', '1.0'))
  const install = `python -m pip install --index-url ${server.url}/alice/dev/+simple/ {opts} {packages}`
  const ini = ['[tox]', 'skipsdist = true', '[testenv]', `install_command = ${install}`, 'deps = depended-on', 'commands = python -m pip list']
  await writeFile(workshop.path('tox.ini'), `${ini.join('\n')}\n`)
  const output = await workshop.succeed('tox', ['-e', 'py3'], { env: { VIRTUALENV_NO_DOWNLOAD: '1' } })
  expect(output).toMatch(/depended-on +1\.0/)
}, 120_000)
