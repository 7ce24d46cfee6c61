import { execFileSync } from 'node:child_process'
import { chmod, writeFile } from 'node:fs/promises'
import { type NetrcEntry, NetrcFault, parseNetrc } from '#cli/netrc.js'
import { startServer } from '#test/support/server.js'
import { listen, type Listening, plain } from './listening.js'
import { DevpiHome } from './run-devpi.js'

let home: DevpiHome
beforeEach(async () => {
  home = await DevpiHome.open()
})
afterEach(() => home[Symbol.asyncDispose]())

const entry = (machine: string | undefined, login: string, password: string | undefined): NetrcEntry => ({ machine, login, password })

const READ: readonly (readonly [text: string, entries: readonly NetrcEntry[]])[] = [
  ['', []],
  ['machine h login ada password s', [entry('h', 'ada', 's')]],
  ['machine h\n\tlogin ada\n\tpassword s\r\n', [entry('h', 'ada', 's')]],
  ['machine h password s login ada', [entry('h', 'ada', 's')]],
  ['machine h user ada password s', [entry('h', 'ada', 's')]],
  ['machine h account ada password s', [entry('h', 'ada', 's')]],
  ['machine h login ada account x password s', [entry('h', 'ada', 's')]],
  ['machine a login x password y machine b login z password w', [entry('a', 'x', 'y'), entry('b', 'z', 'w')]],
  ['machine h login ada', [entry('h', 'ada', undefined)]],
  ['machine h', [entry('h', '', undefined)]],
  ['default login ada password s', [entry(undefined, 'ada', 's')]],
  ['machine h login "a da" password "a \\"b\\" \\\\ c"', [entry('h', 'a da', 'a "b" \\ c')]],
  ['machine h login ada password ""', [entry('h', 'ada', '')]],
  ['machine h login ada password a\\ b\\"c"d', [entry('h', 'ada', 'a b"c"d')]],
  ['machine h login ada password #s', [entry('h', 'ada', '#s')]],
  ['machine h login ada password a#s', [entry('h', 'ada', 'a#s')]],
  ['# a comment\n#another\nmachine h # of ours\nlogin ada #machine x\npassword s', [entry('h', 'ada', 's')]],
  ['macdef init\ncd /machine\npassword x\n\nmachine h login ada password s', [entry('h', 'ada', 's')]],
  ['machine h login ada password s\nmacdef init\nput machine\n\n', [entry('h', 'ada', 's')]],
  ['machine h login ada password machine', [entry('h', 'ada', 'machine')]],
]

test.each(READ)('%j is read', (text, entries) => expect(parseNetrc(text)).toEqual(entries))

test.each([
  ['nonsense', 1],
  ['machine h login ada password my secret', 1],
  ['machine h\nlogin ada\npassword s\nMachine x', 4],
  ['login ada', 1],
  ['machine', 1],
  ['machine h login', 1],
  ['machine h login ada password', 1],
  ['machine h login ada password "s', 1],
  ['machine h login "a\nda" wrong', 2],
  ['macdef', 1],
  ['machine h login ada password s\nmacdef init\ncd /', 2],
])('%j is refused, with its line and nothing of its contents', (text, line) => {
  expect(() => parseNetrc(text)).toThrow(NetrcFault)
  expect(() => parseNetrc(text)).toThrow(new RegExp(`^line ${line}: (?!.*secret)`))
})

const python = ((): string | undefined => {
  try {
    return execFileSync('python3', ['-c', 'import sys; print(sys.version_info >= (3, 11))'], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
})()

;(python === 'True' ? test : test.skip)('Python 3.11, whose module the reference client reads it with, finds the same', () => {
  const script = `
import json, netrc, sys, tempfile
found = []
for text in json.load(sys.stdin):
    with tempfile.NamedTemporaryFile('w') as file:
        file.write(text)
        file.flush()
        found.append({machine: [login or account, password] for machine, (login, account, password) in netrc.netrc(file.name).hosts.items()})
print(json.dumps(found))`
  const understood = READ.filter(([text]) => !text.includes('# a comment')) // its words are no comments to Python
  const found: unknown = JSON.parse(execFileSync('python3', ['-c', script], { input: JSON.stringify(understood.map(([text]) => text)), encoding: 'utf8' }))
  expect(found).toEqual(understood.map(([, entries]) => Object.fromEntries(entries.map(({ machine = 'default', login, password = '' }) => [machine, [login, password]]))))
})

/** Answers as a server where nobody but a login of its own is known. */
function closed(): Promise<Listening> {
  return listen(plain, (req, res) => {
    const root = `http://${req.headers.host ?? ''}`
    const known = req.headers.authorization === basic('ada', 's3cret')
    const result = { login: `${root}/+login`, authstatus: known ? ['ok', 'ada', []] : ['noauth', '', []], features: [] }
    res.writeHead(req.url === '/closed' ? 403 : 200, { 'Content-Type': 'application/json', 'X-DEVPI-API-VERSION': '2' }).end(JSON.stringify({ type: 'apiconfig', result }))
  })
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

async function keepNetrc(text: string, mode = 0o600, name = '.netrc'): Promise<string> {
  await writeFile(home.path(name), text)
  await chmod(home.path(name), mode)
  return home.path(name)
}

test('a login for the host is sent where no other is stored, to no other host, and shown nowhere', async () => {
  await using server = await closed()
  await keepNetrc('machine 127.0.0.1 login ada password s3cret')
  const sent = (): string | undefined => server.seen.at(-1)?.headers.authorization
  const used = await home.run(`use ${server.url} --debug`)
  expect(used.out[0]).toBe(`using server: ${server.url}/ (logged in as ada)`)
  expect(sent()).toBe(basic('ada', 's3cret'))
  expect([...used.out, ...used.err].join('\n')).not.toMatch(/s3cret|YWRhOnMzY3JldA/)
  await home.succeed(`getjson ${server.url.replace('127.0.0.1', 'localhost')}/x`)
  expect(sent()).toBeUndefined()
  await home.succeed('getjson /x --no-netrc')
  expect(sent()).toBeUndefined()
  await home.run('getjson /x', { env: { DEVPI_TOKEN: 'devpi_t' } })
  expect([server.seen.at(-1)?.headers['x-devpi-auth'], sent()]).toEqual([basic('__token__', 'devpi_t').slice(6), basic('ada', 's3cret')])
  const refused = await home.run('getjson /closed')
  expect(refused.err.at(-1)).toBe(`'ada' of ${home.path('.netrc')} was sent; log in as somebody else with \`devpi login USER\`, or pass it over with --no-netrc`)
  await home.succeed(`use http://gate:way@${server.url.slice('http://'.length)}`)
  expect(sent()).toBe(basic('gate', 'way'))
})

test.each<[string, NodeJS.ProcessEnv, string, string | undefined]>([
  ['.netrc', {}, 'default login bo password pw', basic('bo', 'pw')],
  ['_netrc', {}, 'default login bo password pw', basic('bo', 'pw')],
  ['.netrc', {}, 'machine 127.0.0.1 login bo password\n1 machine 127.0.0.1 login bo password 2 default login x password y', basic('bo', '2')],
  ['.netrc', {}, 'machine 127.0.0.1 login bo default login x password y', undefined],
  ['.netrc', { NETRC: '~/other' }, 'default login bo password pw', undefined],
  ['other', { NETRC: '~/other' }, 'default login bo password pw', basic('bo', 'pw')],
  ['other', { NETRC: 'other' }, 'machine elsewhere login bo password pw', undefined],
])('%s with %j: %s', async (name, env, text, wanted) => {
  await using server = await closed()
  await keepNetrc(text, 0o600, name)
  const { code, err } = await home.run(`use ${server.url}`, { env })
  expect({ code, err, sent: server.seen.at(-1)?.headers.authorization }).toEqual({ code: 0, err: [], sent: wanted })
})

test('what others may read is used with a warning, what is not understood is passed over with one', async () => {
  await using server = await closed()
  const path = await keepNetrc('machine 127.0.0.1 login ada password s3cret', 0o644)
  expect((await home.run(`use ${server.url}`)).err).toEqual([`others may read the passwords in ${path}: chmod 600 ${path}`])
  expect(server.seen.at(-1)?.headers.authorization).toBeDefined()
  expect((await home.run('doctor --json')).json).toMatchObject({ checks: expect.arrayContaining([{ id: 'netrc', status: 'error', detail: `others may read the passwords in ${path}`, fix: `chmod 600 ${path}` }]) })
  await keepNetrc('machine 127.0.0.1 login ada password my s3cret')
  expect((await home.run(`use ${server.url}`)).err).toEqual([`nothing is taken from ${path}: line 1: there is a word too many, or none of machine, default, macdef, login, account and password`])
  expect(server.seen.at(-1)?.headers.authorization).toBeUndefined()
  expect((await home.run('doctor --json')).json).toMatchObject({ checks: expect.arrayContaining([expect.objectContaining({ id: 'netrc', status: 'error' })]) })
})

test('a server of ours takes it for whatever needs a login, and a login its password', async () => {
  await using server = await startServer()
  await server.signUp('ada', { dev: {} })
  await home.succeed(`use ${server.url}/ada/dev`)
  const host = new URL(server.url).hostname
  await keepNetrc(`machine ${host} login ada password "ada secret"`)
  await home.succeed('index -c stable bases=')
  expect((await home.succeed('index -l')).join(' ')).toContain('ada/stable')
  expect((await home.run('index -c other --no-netrc')).code).toBe(1)
  await home.succeed('login ada')
  expect((await home.run('login ada --no-netrc')).err[0]).toBe('a password is needed')
  expect((await home.run('login bo')).err[0]).toBe('a password is needed')
  expect((await home.run('doctor --json')).json).toMatchObject({ checks: expect.arrayContaining([{ id: 'netrc', status: 'ok', detail: `${home.path('.netrc')} has 'ada' for ${host}` }]) })
})
