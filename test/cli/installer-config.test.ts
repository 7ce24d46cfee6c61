import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { changeIniList, differenceOf, setIniKey } from '#cli/config-editors.js'
import { readTomlKey, setTomlKey } from '#cli/toml-editor.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'
import { standIn } from './stand-in.js'

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
  ['conflicts = [\n  [\n    { extra = "a" }, # [\n  ],\n]\n[pip]\n', 'conflicts = [\n  [\n    { extra = "a" }, # [\n  ],\n]\nindex-url = "U"\n\n[pip]\n'],
  ['x = """\nindex-url = 1\n"""\n', undefined],
  ['index-url = "a"\nindex-url = "b"\n', undefined],
  ['x = [\n', undefined],
  ['x = "a\n', undefined],
  ['x = ]\n', undefined],
  ['no toml\n', undefined],
])('TOML %j', (before, after) => expect(setTomlKey(before, ['index-url'], 'U')).toBe(after))

test.each<[string, string | undefined]>([
  ['', '[a.b]\nurl = "U"\n'],
  ['x = 1\n', 'x = 1\n\n[a.b]\nurl = "U"\n'],
  ['[a.b] # mine\nuser = "me"\n', '[a.b] # mine\nurl = "U"\nuser = "me"\n'],
  ['[a."b"]\nurl = "old"\n[c]\nurl = "other"\n', '[a."b"]\nurl = "U"\n[c]\nurl = "other"\n'],
  ['[a]\nb.url = "old"\n', '[a]\nb.url = "U"\n'],
  ['a.b.url = "old"\n', 'a.b.url = "U"\n'],
  ['[a.c]\nurl = "x"\n', '[a.c]\nurl = "x"\n\n[a.b]\nurl = "U"\n'],
  ['[a]\nb.user = "me"\n', undefined], // the table is there, and has no head
  ['a = { b = { url = "x" } }\n', undefined],
  ['[a]\nb = { url = "x" }\n', undefined],
  ['[[a.b]]\nurl = "x"\n', undefined],
  ['[[a]]\n[a.b]\nurl = "x"\n', undefined],
  ['[a.b]\n[a.b]\n', undefined],
])('a TOML table in %j', (before, after) => {
  expect(setTomlKey(before, ['a', 'b', 'url'], 'U')).toBe(after)
  if (after !== undefined) expect([readTomlKey(after, ['a', 'b', 'url']), setTomlKey(after, ['a', 'b', 'url'], 'U')]).toEqual(['U', after])
})

test.each<[string, string, string[]]>([
  ['a\nb\nc\n', 'a\nx\nc\n', ['- b', '+ x']],
  ['', 'a\n', ['+ a']],
  ['a\nb\nc\nd\n', 'x\nb\nc\ny\nd\n', ['- a', '+ x', '+ y']],
  ['a\n', 'a\n', []],
  ['a\n'.repeat(3000), 'b\n'.repeat(3000), ['… is too long to show what changes']],
  ['url = https://me:pw@h/\npassword = pw\npypi-token.x: pw\n', '', ['- url = https://me:****@h/', '- password = ****', '- pypi-token.x: ****']],
])('what changes is shown, no password: %#', (before, after, shown) => expect(differenceOf(before, after)).toEqual(shown))

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
    const env = { PATH: '/nowhere' }
    const ran = await home.run(`use --set-cfg ${server.url}/gus/dev`, { env })
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

    const again = await home.run('use --set-cfg', { env })
    expect(again.err).toHaveLength(1)
    await home.succeed('use --set-cfg --pip-set-trusted yes', { env })
    expect(await readFile(home.path('.config/pip/pip.conf'), 'utf8')).toContain(`trusted-host = ${new URL(simple).host}`)
    expect((await home.succeed('use --always-set-cfg yes', { env })).at(-1)).toBe('always-set-cfg: yes')
    expect(await home.run(`use --set-cfg ${server.url}`)).toMatchObject({ code: 1, err: ['no index configured: cannot set pip/easy_install index'] })
    expect(await home.run('use --pip-set-trusted maybe')).toMatchObject({ code: 2 })
  })

  test('writes for tools that publish where these are, and the names of twine stay', async () => {
    await using home = await DevpiHome.open()
    await standIn(home, 'poetry', 'exit 0')
    const env = { PATH: home.path('stand-ins') }
    await writeFile(home.path('.pypirc'), '[distutils]\nindex-servers =\n    mine\n[mine]\nrepository = https://mine.example/\npassword = secret\n', { mode: 0o600 })
    for (const line of [`use ${server.url}/gus/dev`, ['login', 'gus', '--password=gus secret']]) await home.succeed(line)
    const ran = await home.run('use --set-cfg', { env })
    expect(ran.out.slice(-3)).toEqual([`~/.config/pypoetry/config.toml: ${server.url}/gus/dev/`, `~/.pypirc              : ${server.url}/gus/dev/`, 'always-set-cfg: no'])
    expect(await readFile(home.path('.config/pypoetry/config.toml'), 'utf8')).toBe(`[repositories.devpi]\nurl = "${server.url}/gus/dev/"\n`)
    expect(await readFile(home.path('.pypirc'), 'utf8')).toBe(
      `[distutils]\nindex-servers = mine\n    devpi\n[mine]\nrepository = https://mine.example/\npassword = secret\n\n[devpi]\nrepository = ${server.url}/gus/dev/\nusername = gus\n`,
    )
    expect((await stat(home.path('.pypirc'))).mode & 0o777).toBe(0o600)
    expect([...ran.out, ...ran.err].join('\n')).not.toContain('secret')
    expect(await readFile(home.path('.config/pip/pip.conf'), 'utf8')).toBe(`[global]\nindex-url = ${server.url}/gus/dev/+simple/\n\n[search]\nindex = ${server.url}/gus/dev/\n`)
    expect((await home.run('use --set-cfg', { env })).err).toEqual([])

    await standIn(home, 'pdm', 'exit 0')
    await standIn(home, 'twine', 'exit 0')
    await rm(home.path('.pypirc'))
    await home.succeed('use --set-cfg', { env })
    expect(await readFile(home.path('.config/pdm/config.toml'), 'utf8')).toBe(`[pypi]\nurl = "${server.url}/gus/dev/+simple/"\n`)
    expect(await readFile(home.path('.pypirc'), 'utf8')).toContain('index-servers = pypi\n    testpypi\n    devpi\n')
    await home.succeed('use --set-cfg root/pypi', { env }) // a mirror takes no uploads
    expect(await readFile(home.path('.pypirc'), 'utf8')).toContain(`repository = ${server.url}/gus/dev/\n`)
    expect(await readFile(home.path('.config/pdm/config.toml'), 'utf8')).toContain('/root/pypi/+simple/')
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
