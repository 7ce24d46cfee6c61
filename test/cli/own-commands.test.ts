import { writeFile } from 'node:fs/promises'
import { changeText } from '#cli/changes.js'
import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'

/** What this server can do beyond the reference. */
let server: TestServer
let root: string
let home: DevpiHome

beforeAll(async () => {
  server = await startServer()
  root = `${server.url}/`
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(async () => {
  home = await DevpiHome.open()
})
afterEach(() => home[Symbol.asyncDispose]())

async function begin(user: string): Promise<void> {
  for (const line of [`use ${server.url}`, `user -c ${user} password=123`, `login ${user} --password=123`, 'index -c dev bases=', 'use dev']) await home.succeed(line)
  for (const version of ['1.0', '1.1']) {
    const { filename, bytes } = wheel('kite', version)
    await writeFile(home.path(filename), bytes)
    await home.succeed(`upload ${filename}`)
  }
}

test('yanked and unyanked', async () => {
  await begin('ann')
  expect(await home.succeed(['yank', 'kite==1.1', '--reason', 'does not greet'])).toEqual(['yanked kite 1.1'])
  expect((await home.run('list kite --json')).json).toMatchObject({ files: [{ yanked: 'does not greet' }, { version: '1.0' }] })
  expect(await home.succeed('unyank kite>=0')).toEqual(['no longer yanked: kite 1.0', 'no longer yanked: kite 1.1'])
  const [url = ''] = await home.succeed('list kite')
  expect(await home.succeed(['yank', url])).toEqual([`yanked ${url}`])
  expect(await home.run('yank kite')).toMatchObject({ code: 1, err: ["'kite' names no version", 'all of them are "kite>=0"'] })
  expect(await home.run('yank kite==9')).toMatchObject({ code: 1, err: ["No releases or distributions found matching 'kite==9'."] })
  expect(await home.run('yank http://elsewhere.example/x')).toMatchObject({ code: 1, err: ['http://elsewhere.example/x is not on the current server'] })
})

test('a removal is shown among the changes, and undone', async () => {
  await begin('ben')
  const { json } = await home.run('remove -y kite --json')
  const serial = (json as { serial: number }).serial
  const lines = await home.succeed('changes kite')
  expect(lines).toHaveLength(3)
  expect(lines[0]).toMatch(/^ +\d+ {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}ben uploaded kite-1.0-py3-none-any.whl \(\d+ bytes\) to kite 1.0 on ben\/dev$/)
  expect(lines[2]).toMatch(/ben removed kite from ben\/dev$/)
  expect((await home.run('changes --limit 1 --json')).json).toMatchObject({ changes: [{ serial, actor: 'ben', mutation: { kind: 'project-removed' } }] })
  expect(await home.succeed(`undo ${String(serial)}`)).toEqual([`the removal of 'ben/dev/kite' at serial ${String(serial)} is undone`])
  expect(await home.succeed('list kite')).toHaveLength(2)
  expect(await home.run(`undo ${String(serial)}`)).toMatchObject({ code: 1, err: [`POST ${root}+undo`, expect.stringMatching(/^409 Conflict: /)] })
  expect(await home.run('undo x')).toMatchObject({ code: 2 })
  expect(await home.run('changes --since x')).toMatchObject({ code: 2 })
})

test('changes are followed until interrupted', async () => {
  await begin('cal')
  const stop = new AbortController()
  const following = home.run(`changes --follow --limit 1 --json`, { interrupted: stop.signal })
  const { filename, bytes } = wheel('later', '1.0')
  await writeFile(home.path(filename), bytes)
  const seen = home.until(`"file":"${filename}"`)
  await home.succeed(`upload ${filename}`)
  await seen
  stop.abort()
  const { out } = await following
  const last = JSON.parse(out.at(-1) ?? '') as unknown
  expect(last).toMatchObject({ actor: 'cal', mutation: { kind: 'file-uploaded', file: filename } })
})

test('what was left out of a change leaves its kind', () => {
  const time = '2026-01-02T03:04:05.678Z'
  expect(changeText({ serial: 7, time, actor: 'ada', mutation: { kind: 'index-cloned', user: 'ada', index: 'dev' } })).toBe('     7  2026-01-02 03:04:05  ada did index-cloned on ada/dev')
  expect(changeText({ serial: 7, time, actor: 'ada', mutation: { kind: 'of-tomorrow' } })).toBe('     7  2026-01-02 03:04:05  ada did of-tomorrow')
})

test('tokens are created, used, listed and revoked', async () => {
  await begin('dot')
  const made = await home.run(['token', 'create', 'ci of kite', '--actions', 'read,upload', '--expires', '2090-01-31', '--json'])
  const { token, id } = made.json as { token: string; id: string }
  expect(made.json).toMatchObject({ name: 'ci of kite', actions: ['read', 'upload'], indexes: ['dot/dev'] })
  expect((await home.succeed('token list'))[0]).toMatch(/^\S+ {2}ci of kite: read,upload on dot\/dev, until 2090-01-31/)
  await home.succeed('logoff')
  const env = { DEVPI_TOKEN: token }
  const { filename, bytes } = wheel('bot', '1.0')
  await writeFile(home.path(filename), bytes)
  expect(await home.run(`upload ${filename}`, { env })).toMatchObject({ code: 0 })
  const refused = await home.run('index dot/dev title=x', { env })
  expect(refused).toMatchObject({ code: 1, err: [`PATCH ${root}dot/dev`, expect.stringMatching(/^403 Forbidden/)] })
  expect([...refused.out, ...refused.err].join('\n')).not.toContain(token)
  await home.succeed('login dot --password=123')
  expect(await home.succeed(`token revoke ${id}`)).toEqual([`API token '${id}' (ci of kite) revoked`])
  expect(await home.run(`upload ${filename}`, { env })).toMatchObject({ code: 1 })
  expect(await home.run(['login', 'dot', '--token', token])).toMatchObject({ code: 1, err: [expect.stringMatching(/^the token is not accepted for 'dot'/)] })
  expect((await home.succeed('use'))[0]).toContain('logged in as dot')
  await home.succeed('logoff')
  expect(await home.run('token list')).toMatchObject({ code: 1, json: undefined, err: ["you need to be logged in (use 'devpi login USER')"] })
})

test('an index is cloned and renamed', async () => {
  await begin('eli')
  expect((await home.run('clone eli/dev copy volatile=False --json')).json).toMatchObject({ url: `${root}eli/copy`, result: { volatile: false } })
  expect(await home.succeed('list --index copy')).toEqual(['kite'])
  expect(await home.run('clone eli/nope copy2')).toMatchObject({ code: 1, err: [`PUT ${root}eli/copy2`, expect.stringMatching(/^404/)] })
  expect(await home.run('clone eli/dev copy2 bases+=x/y')).toMatchObject({ code: 2 })
  await home.succeed('rename dev stable')
  expect((await home.succeed('use'))[0]).toBe(`current devpi index: ${root}eli/stable (logged in as eli)`)
})

test('files are compared with those of the index', async () => {
  await begin('fay')
  const { filename } = wheel('kite', '1.0')
  const known = await home.succeed(`verify ${filename}`)
  expect(known[0]).toMatch(/^kite-1.0-py3-none-any.whl: is http\S+, put there by fay at serial \d+, \d{4}-/)
  await writeFile(home.path(filename), wheel('kite', '1.0', { extra: { 'x.py': Buffer.from('1') } }).bytes)
  await writeFile(home.path('odd-1.0-py3-none-any.whl'), wheel('odd', '1.0').bytes)
  expect(await home.run(`verify ${filename} odd-1.0-py3-none-any.whl --json`)).toMatchObject({ code: 1, json: { ok: false, files: [{ verdict: 'different' }, { verdict: 'absent' }] } })
  expect(await home.run('verify missing.whl')).toMatchObject({ code: 1, err: ['path does not exist: missing.whl'] })
  expect(await home.run('verify')).toMatchObject({ code: 2 })
})

test('a page is explained, and a policy tried before it is set', async () => {
  await begin('eve')
  expect(await home.succeed('why Kite')).toEqual([
    'eve/dev shown: 2 files, 2 shown, 0 hidden, 0 with a name taken before (eve/dev has it)',
    'mirrors are closed: there is no mirror among the bases',
    'kite: 2 files of 2 versions, the newest is 1.1',
  ])
  const rule = 'constraints=kite<1.1,!leftpad'
  const file = '  kite-1.1-py3-none-any.whl of eve/dev hidden by constraints=kite<1.1 of eve/dev'
  expect(await home.succeed(['policy', 'simulate', rule, '-v'])).toEqual(['kite: 1 of 2 files hidden, newest 1.1 -> 1.0', file, '1 of 2 files in 1 projects would be hidden'])
  expect(await home.succeed(['policy', 'simulate', rule, 'other'])).toEqual(['0 of 0 files in 1 projects would be hidden'])
  await home.succeed(['index', 'dev', rule])
  expect((await home.succeed('why kite')).slice(2)).toEqual(['kite: 1 files of 1 versions, the newest is 1.0', file])
  expect((await home.run('policy simulate constraints= --json')).json).toMatchObject({ projects: [{ project: 'kite', shows: 1 }], looked: { projects: 1 } })
  expect(await home.run('policy simulate kite')).toMatchObject({ code: 2 })
  expect(await home.run('policy simulate min_release_age=7')).toMatchObject({ code: 1, err: [expect.stringContaining('POST'), expect.stringContaining('duration such as 7d')] })
})
