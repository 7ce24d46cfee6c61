import { readFile, writeFile } from 'node:fs/promises'
import { type ReleaseFile, sdist, wheel } from '#test/support/archives.js'
import { type Finished, OFFLINE, testWith, Workshop } from '#test/support/real-clients.js'
import { startServer, type TestServer } from '#test/support/server.js'

const WHEEL = wheel('demo', '1.0')
const SDIST = sdist('demo', '1.0')
const OTHER = wheel('demo', '1.0', { extra: { 'more.txt': Buffer.from('more') } })
const LOGIN = ['-u', 'alice', '-p', 'alice secret']

let workshop: Workshop
let server: TestServer
beforeAll(async () => {
  workshop = await Workshop.open()
  server = await startServer()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await workshop[Symbol.asyncDispose]()
})

async function twine(index: string, ...files: readonly ReleaseFile[]): Promise<Finished> {
  for (const { filename, bytes } of files) await writeFile(workshop.path(filename), bytes)
  const options = ['--disable-progress-bar', '--repository-url', `${server.url}/alice/${index}/`, ...LOGIN]
  return workshop.run('twine', ['upload', ...options, ...files.map(({ filename }) => workshop.path(filename))], { env: OFFLINE })
}

/** Runs tox in an environment that has the release from the index, and gives the report it writes. */
async function tox(index: string): Promise<string> {
  const install = `python -m pip install --index-url ${server.url}/alice/${index}/+simple/ {opts} {packages}`
  const ini = ['[tox]', 'skipsdist = true', '[testenv]', `install_command = ${install}`, 'deps = demo==1.0', 'commands = python -m pip show demo']
  await writeFile(workshop.path('tox.ini'), `${ini.join('\n')}\n`)
  const report = workshop.path('report.json')
  await workshop.succeed('tox', ['-e', 'py3', '--result-json', report], { env: { ...OFFLINE, VIRTUALENV_NO_DOWNLOAD: '1' } })
  return report
}

/** The pip of the environment that tox made. */
function pip(...args: readonly string[]): Promise<Finished> {
  return workshop.run(workshop.path('.tox', 'py3', 'bin', 'pip'), args, { env: OFFLINE })
}

testWith(['twine', 'tox'])('a release from its upload to its return', async () => {
  const alice = await server.signUp('alice', { dev: {}, prod: { volatile: false }, team: {} })
  const simple = (index: string): string => `${server.url}/alice/${index}/+simple/`
  const reinstall = (index: string): Promise<Finished> => pip('install', '--force-reinstall', '--no-deps', '--index-url', simple(index), 'demo==1.0')

  // upload, test, attach the report
  expect(await twine('dev', WHEEL, SDIST)).toMatchObject({ code: 0 })
  const report = await tox('dev')
  const file = /href="[./]*(\/?\+f\/[^"#]*\.whl)/.exec(await (await alice.get('/alice/dev/+simple/demo/', { Accept: 'text/html' })).text())?.[1] ?? ''
  expect((await server.fetch(`/alice/dev/${file}`, { method: 'POST', body: await readFile(report) })).status).toBe(200)

  // list
  expect((await pip('index', 'versions', '--index-url', simple('dev'), 'demo')).output).toContain('Available versions: 1.0')
  const { result } = (await (await alice.get('/alice/dev/demo/1.0')).json()) as { result: { '+links': { rel: string }[] } }
  expect(result['+links'].map(({ rel }) => rel)).toEqual(['releasefile', 'releasefile', 'toxresult'])
  const tested = async (index: string): Promise<unknown> => ((await (await alice.get(`/alice/${index}/demo/1.0/+toxresults`)).json()) as { result: unknown }).result
  expect(await tested('dev')).toMatchObject([{ file: WHEEL.filename, platform: 'linux', environment: 'py3', state: 'passed', failed: 0, python: expect.stringMatching(/^3\./) }])

  // push to an index that keeps what it has, with the verb of the reference client
  const pushed = await alice.fetch('/alice/dev', { method: 'PUSH', body: JSON.stringify({ name: 'demo', version: '1.0', targetindex: 'alice/prod' }) })
  expect(pushed.status).toBe(200)
  expect(await tested('prod')).toMatchObject([{ environment: 'py3', state: 'passed' }])
  const refused = await twine('prod', OTHER)
  expect(refused.code).not.toBe(0)
  expect(refused.output).toContain('already exists in non-volatile index')

  // inherit
  expect((await reinstall('team')).code).not.toBe(0)
  expect((await alice.patch('/alice/team', ['bases+=alice/prod'])).status).toBe(200)
  expect(await reinstall('team')).toMatchObject({ code: 0 })

  // remove, and undo
  expect((await alice.delete('/alice/prod/demo/1.0')).status).toBe(403)
  const removed = await alice.delete('/alice/dev/demo/1.0')
  expect(removed.status).toBe(200)
  expect((await reinstall('dev')).output).toContain('No matching distribution found for demo==1.0')
  expect(await reinstall('team')).toMatchObject({ code: 0 })
  expect((await alice.post('/+undo', { serial: Number(removed.headers.get('x-devpi-serial')) })).status).toBe(200)
  expect(await reinstall('dev')).toMatchObject({ code: 0 })
  expect((await alice.get(`/alice/dev/${file}`)).status).toBe(200)
  expect(await tested('dev')).toMatchObject([{ environment: 'py3', state: 'passed' }])
  expect(server.log.filter((line) => line.includes('"level":"error"'))).toEqual([])
}, 120_000)
