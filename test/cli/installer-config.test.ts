import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { changeIniList, differenceOf, setIniKey, setTomlKey } from '#cli/config-editors.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'

const KEYS = ['index-url', 'index_url']

test.each<[string, string, string | undefined]>([
  ['nothing', '', '[global]\nindex-url = U\n'],
  ['another section', '[install]\nno-deps = true\n', '[install]\nno-deps = true\n\n[global]\nindex-url = U\n'],
  ['the section', '# mine\n[global]\ntimeout = 5\n', '# mine\n[global]\nindex-url = U\ntimeout = 5\n'],
  ['the key, in its spelling', '[global]\nindex_url: old\ntimeout = 5\n', '[global]\nindex_url = U\ntimeout = 5\n'],
  ['a key over several lines', '[global]\nindex-url =\n    old\ntimeout = 5\n', '[global]\nindex-url = U\ntimeout = 5\n'],
  ['the key of another section', '[install]\nindex-url = old\n[global]\n', '[install]\nindex-url = old\n[global]\nindex-url = U\n'],
  ['another key that ends alike', '[global]\nextra-index-url = old\n', '[global]\nindex-url = U\nextra-index-url = old\n'],
  ['a line that is none', '[global]\nnonsense\n', undefined],
  ['a key twice', '[global]\nindex-url = a\nindex_url = b\n', undefined],
  ['a section twice', '[global]\n[global]\n', undefined],
  ['a setting without section', 'index-url = a\n', undefined],
])('INI with %s', (_name, before, after) => expect(setIniKey(before, 'global', KEYS, 'U')).toBe(after))

test.each<[string, 'add' | 'remove', string]>([
  ['[global]\n', 'add', '[global]\ntrusted-host = h\n'],
  ['[global]\ntrusted-host = a\n', 'add', '[global]\ntrusted-host = a\n    h\n'],
  ['[global]\ntrusted-host =\n    a\n    h\n', 'add', '[global]\ntrusted-host =\n    a\n    h\n'],
  ['[global]\ntrusted-host = a h\n', 'remove', '[global]\ntrusted-host = a\n'],
  ['[global]\ntrusted-host = h\nx = 1\n', 'remove', '[global]\nx = 1\n'],
  ['[global]\n', 'remove', '[global]\n'],
])('a list in %j: %s', (before, change, after) => expect(changeIniList(before, 'global', ['trusted-host'], 'h', change)).toBe(after))

test.each<[string, string | undefined]>([
  ['', 'index-url = "U"\n'],
  ['native-tls = true\n[pip]\nindex-url = "other"\n', 'native-tls = true\nindex-url = "U"\n\n[pip]\nindex-url = "other"\n'],
  ["index-url = 'old' # mine\n", 'index-url = "U"\n'],
  ['x = """\nindex-url = 1\n"""\n', undefined],
  ['index-url = "a"\nindex-url = "b"\n', undefined],
])('TOML %j', (before, after) => expect(setTomlKey(before, 'index-url', 'U')).toBe(after))

test('what changes is shown', () => expect(differenceOf('a\nb\nc\n', 'a\nx\nc\n')).toEqual(['- b', '+ x']))

describe('use --set-cfg', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startServer()
    await server.signUp('gus', { dev: {} })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test('writes, tells what, keeps the old, and the second time nothing', async () => {
    await using home = await DevpiHome.open()
    await mkdir(home.path('.config/pip'), { recursive: true })
    await writeFile(home.path('.config/pip/pip.conf'), '[global]\nindex-url = http://old/\n')
    await mkdir(home.path('.buildout'))
    await writeFile(home.path('.buildout/default.cfg'), 'what is this\n')
    const simple = `${server.url}/gus/dev/+simple/`
    const ran = await home.run(`use --set-cfg ${server.url}/gus/dev`)
    expect(ran.code).toBe(0)
    expect(ran.out.slice(-5)).toEqual([
      `~/.pydistutils.cfg     : ${simple}`,
      `~/.config/pip/pip.conf : ${simple}`,
      '~/.buildout/default.cfg: no index server configured',
      `~/.config/uv/uv.toml   : ${simple}`,
      'always-set-cfg: no',
    ])
    expect(ran.err).toEqual(expect.arrayContaining(['    - index-url = http://old/', `    + index-url = ${simple}`, `${home.path('.buildout/default.cfg')} is not understood and stays as it is; its index would be ${simple}`]))
    expect(await readFile(home.path('.buildout/default.cfg'), 'utf8')).toBe('what is this\n')
    expect(await readFile(home.path('.config/uv/uv.toml'), 'utf8')).toBe(`index-url = "${simple}"\n`)
    expect(await readdir(home.path('.config/pip'))).toEqual(['pip.conf', expect.stringMatching(/^pip\.conf\..*\.bak$/)])

    const again = await home.run('use --set-cfg')
    expect(again.err).toHaveLength(1)
    await home.succeed('use --set-cfg --pip-set-trusted yes')
    expect(await readFile(home.path('.config/pip/pip.conf'), 'utf8')).toContain(`trusted-host = ${new URL(simple).host}`)
    expect((await home.succeed('use --always-set-cfg yes')).at(-1)).toBe('always-set-cfg: yes')
    expect(await home.run(`use --set-cfg ${server.url}`)).toMatchObject({ code: 1, err: ['no index configured: cannot set pip/easy_install index'] })
    expect(await home.run('use --pip-set-trusted maybe')).toMatchObject({ code: 2 })
  })

  test('writes into a virtual environment alone where there is one', async () => {
    await using home = await DevpiHome.open()
    await mkdir(home.path('env/bin'), { recursive: true })
    const out = await home.succeed(`use --set-cfg --venv env ${server.url}/gus/dev`)
    expect(out.slice(-5)).toEqual([
      `venv for install/set commands: ${home.path('env')}`,
      'only setting venv pip/uv config, no global configuration changed',
      `~/env/pip.conf         : ${server.url}/gus/dev/+simple/`,
      `~/env/uv.toml          : ${server.url}/gus/dev/+simple/`,
      'always-set-cfg: no',
    ])
    expect((await readdir(home.folder)).sort()).toEqual(['.devpi', 'env'])
    expect((await home.succeed('use --venv -')).join()).not.toContain('venv for install')
    expect(await home.run('use --venv nowhere')).toMatchObject({ code: 1, err: [`No virtualenv found at: '${home.path('nowhere')}'`, 'make one with `python3 -m venv nowhere`'] })
  })

  test('keeps the selection in an active environment', async () => {
    await using home = await DevpiHome.open()
    await mkdir(home.path('env/bin'), { recursive: true })
    const env = { VIRTUAL_ENV: home.path('env') }
    await home.succeed(`use ${server.url}`)
    expect((await home.run(`use --local ${server.url}/gus/dev`, { env })).out[0]).toBe(`Creating local configuration at ${home.path('env/devpi.json')}`)
    expect((await home.run('use', { env })).out[0]).toContain('gus/dev')
    expect((await home.run('use')).out[0]).toBe(`using server: ${server.url}/ (not logged in)`)
    expect((await home.run('use --delete', { env })).out).toEqual([`REMOVED configuration at ${home.path('env/devpi.json')}`])
  })
})
