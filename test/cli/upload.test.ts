import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { kindOf, parseHeaders, readDistribution } from '#cli/dist-metadata.js'
import { sdist, wheel } from '#test/support/archives.js'
import { testWith } from '#test/support/real-clients.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { tarGz } from '#test/support/tar-builder.js'
import { zip } from '#test/support/zip-builder.js'
import { DevpiHome, type Ran } from './run-devpi.js'

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
}

async function put(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(home.path(name)), { recursive: true })
    await writeFile(home.path(name), content)
  }
}

test('files that are named, in the order of their paths', async () => {
  await begin('nia')
  await put({ 'd/kite-1.0.tar.gz': sdist('kite', '1.0').bytes, 'd/kite-1.0-py3-none-any.whl': wheel('kite', '1.0').bytes, 'd/notes.txt': 'x', 'd/.hidden.whl': 'x' })
  expect(await home.succeed('upload d/kite-1.0.tar.gz d/kite-1.0-py3-none-any.whl d/kite-1.0.tar.gz')).toEqual([
    `register kite-1.0 to ${root}nia/dev/`,
    `file_upload of kite-1.0-py3-none-any.whl to ${root}nia/dev/`,
    `file_upload of kite-1.0.tar.gz to ${root}nia/dev/`,
  ])
  expect(await home.succeed('list kite')).toHaveLength(2)
  const head = server.head()
  expect(await home.succeed('upload --dry-run d/*.whl')).toContain(`skipped: file_upload of kite-1.0-py3-none-any.whl to ${root}nia/dev/`)
  expect(await home.succeed(['upload', '--skip-existing', 'd/**/kite*'])).toContain(`skipped: file_upload of kite-1.0.tar.gz to ${root}nia/dev/, which has it already`)
  expect(server.head()).toBe(head)
})

test('one bad file does not keep the others back', async () => {
  await begin('oda')
  await put({ 'w/good-1.0-py3-none-any.whl': wheel('good', '1.0').bytes, 'w/bad-1.0-py3-none-any.whl': 'no zip', 'w/empty-1.0.tar.gz': Buffer.alloc(0), 'w/lie-9.0-py3-none-any.whl': wheel('good', '1.0').bytes })
  const ran = await home.run('upload --from-dir w --json')
  expect(ran.code).toBe(1)
  expect(ran.json).toMatchObject({
    ok: false,
    error: { code: 'UPLOAD_FAILED', hint: '3 of 4 files were not uploaded' },
    uploads: expect.arrayContaining([
      expect.objectContaining({ file: home.path('w/good-1.0-py3-none-any.whl'), ok: true, status: 200 }),
      expect.objectContaining({ file: home.path('w/lie-9.0-py3-none-any.whl'), ok: false, status: 400 }),
      expect.objectContaining({ file: home.path('w/bad-1.0-py3-none-any.whl'), ok: false, status: null }),
      expect.objectContaining({ file: home.path('w/empty-1.0.tar.gz'), ok: false, status: null }),
    ]),
  })
  expect(await home.succeed('list')).toEqual(['good'])
})

test.each([
  ['upload missing.whl', 'path does not exist: missing.whl'],
  ['upload .', '.: is a directory but --from-dir not specified'],
  ['upload --from-dir empty', 'nothing to upload found in empty'],
  ['upload *.whl', expect.stringMatching(/^nothing matches \*\.whl in /)],
  ['upload', expect.stringMatching(/^neither pyproject.toml nor setup.py found in /)],
  ['upload x.txt', 'x.txt: only wheels, sdists (.tar.gz, .zip), eggs and documentation (.doc.zip) are uploaded'],
  ['upload x-1.0.exe', 'x-1.0.exe: only wheels, sdists (.tar.gz, .zip), eggs and documentation (.doc.zip) are uploaded'],
  ['upload x-1.0.tar.bz2', 'x-1.0.tar.bz2: sdists are uploaded as .tar.gz or .zip, pack it anew'],
  ['upload cut/cut-1.0-py3-none-any.whl', 'cut-1.0-py3-none-any.whl: cannot be read: it is no zip archive, or not a whole one'],
  ['upload cut/cut-1.0.tar.gz', 'cut-1.0.tar.gz: cannot be read: it ends too early'],
  ['upload cut/cut-1.0.doc.tgz', expect.stringMatching(/^cut-1\.0\.doc\.tgz: cannot be repacked: /)],
])('%s fails', async (line, message) => {
  await begin(`u${String(server.head())}`)
  await put({ 'x.txt': 'x', 'empty/x.txt': 'x', 'x-1.0.exe': 'x', 'x-1.0.tar.bz2': 'x', 'cut/cut-1.0.doc.tgz': 'x' })
  await put({ 'cut/cut-1.0-py3-none-any.whl': wheel('cut', '1.0').bytes.subarray(0, 60), 'cut/cut-1.0.tar.gz': sdist('cut', '1.0').bytes.subarray(0, 60) })
  const ran = await home.run(line)
  expect(ran.code).toBe(1)
  expect(ran.err[0]).toEqual(message)
  expect(ran.err.filter((text) => text.startsWith('POST'))).toEqual([])
})

test('a refusal says why, and a mirror that it is one', async () => {
  await begin('pia')
  await home.succeed('index volatile=False')
  await put({ 'kite-1.0-py3-none-any.whl': wheel('kite', '1.0').bytes })
  await home.succeed('upload kite-1.0-py3-none-any.whl')
  await put({ 'kite-1.0-py3-none-any.whl': wheel('kite', '1.0', { extra: { 'more.py': Buffer.from('1') } }).bytes })
  expect(await home.run('upload kite-1.0-py3-none-any.whl')).toMatchObject({
    code: 1,
    err: [`409 FAIL file_upload of kite-1.0-py3-none-any.whl to ${root}pia/dev/`, 'kite-1.0-py3-none-any.whl already exists in non-volatile index', `POST to ${root}pia/dev/ FAILED`],
  })
  await home.succeed('logoff')
  expect(await home.run('upload kite-1.0-py3-none-any.whl')).toMatchObject({ code: 1, err: expect.arrayContaining([`401 FAIL file_upload of kite-1.0-py3-none-any.whl to ${root}pia/dev/`]) })
  expect(await home.run('upload kite-1.0-py3-none-any.whl --index root/pypi')).toMatchObject({ code: 1, err: [`The index ${root}root/pypi does not support upload.`, 'Most likely, it is a mirror.'] })
})

test('documentation in a tar is sent as a zip', async () => {
  await begin('rex')
  await put({ 'kite-1.0-py3-none-any.whl': wheel('kite', '1.0').bytes, 'kite-1.0.docs.tgz': tarGz([{ name: './index.html', bytes: Buffer.from('<p>kite</p>') }, { name: 'img/logo.svg', bytes: Buffer.from('<svg/>') }]) })
  const out = await home.succeed('upload kite-1.0.docs.tgz kite-1.0-py3-none-any.whl')
  expect(out.slice(1)).toEqual([
    'repackaged kite-1.0.docs.tgz to kite-1.0.doc.zip',
    `register kite-1.0 to ${root}rex/dev/`,
    `file_upload of kite-1.0-py3-none-any.whl to ${root}rex/dev/`,
    `doc_upload of kite-1.0.doc.zip to ${root}rex/dev/`,
  ])
  expect(await (await server.fetch('/rex/dev/kite/1.0/+doc/img/logo.svg')).text()).toBe('<svg/>')
  expect(existsSync(out[0]?.replace('using workdir ', '') ?? '/')).toBe(false)
})

test('documentation goes after its release; of several versions the newest alone', async () => {
  await begin('quy')
  const html = zip([{ name: 'index.html', bytes: Buffer.from('<p>kite</p>') }])
  await put({ 'a/kite-1.0.doc.zip': html, 'a/kite-1.0-py3-none-any.whl': wheel('kite', '1.0').bytes, 'a/kite-2.0-py3-none-any.whl': wheel('kite', '2.0').bytes, 'a/kite-2.0.tar.gz': sdist('kite', '2.0').bytes })
  expect((await home.succeed('upload --from-dir a')).at(-1)).toBe(`doc_upload of kite-1.0.doc.zip to ${root}quy/dev/`)
  expect((await server.fetch('/quy/dev/kite/1.0/+doc/index.html')).status).toBe(200)
  const newest = await home.succeed('upload --from-dir --only-latest --dry-run a')
  expect(newest.filter((line) => line.includes('kite-2.0'))).toHaveLength(2)
  expect(newest.join()).not.toContain('kite-1.0-py3')
})

describe('building', () => {
  const withBuild = testWith(['build', 'setuptools'])
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'devpi-project-'))
    const project = join(folder, 'sub/example')
    await mkdir(project, { recursive: true })
    await writeFile(join(project, 'pyproject.toml'), '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "example"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["example"]\n')
    await writeFile(join(project, 'example.py'), 'x = 1\n')
    await writeFile(join(project, 'deleted.txt'), 'x')
    await writeFile(join(project, 'untracked.py'), 'x = 1\n')
    const git = (...args: string[]): void => void execFileSync('git', ['-C', folder, '-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { stdio: 'ignore' })
    git('init', '-q')
    git('add', 'sub/example/pyproject.toml', 'sub/example/example.py', 'sub/example/deleted.txt')
    git('commit', '-qm', 'x')
    await rm(join(project, 'deleted.txt'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  withBuild('from below the top of a repository, in a clean copy', async () => {
    await begin('ros')
    const cwd = join(folder, 'sub/example')
    const ran = await home.run('upload --no-isolation --wheel -p /usr/bin/python3', { cwd })
    expect(ran.err.join('\n')).toContain('sub/example/deleted.txt is versioned but not there, skipping')
    expect(ran.err.some((line) => /^--> {2}\S+\/upload\/\S+\/sub\/example\$ \/usr\/bin\/python3 -m build --outdir \S+ --wheel --no-isolation$/.test(line))).toBe(true)
    expect(ran.out.map((line) => line.replace(/\d+kb/, 'Nkb').replace(/\S*\/devpi-\S+/g, 'TMP'))).toEqual([
      'using workdir TMP',
      `copied repo ${folder}/.git to TMP`,
      'pre-build: cleaning TMP',
      'built: dist/example-1.0-py3-none-any.whl Nkb',
      `register example-1.0 to ${root}ros/dev/`,
      `file_upload of example-1.0-py3-none-any.whl to ${root}ros/dev/`,
    ].map((line) => line.replace(/\S*\/devpi-\S+/g, 'TMP')))
    expect(ran.code).toBe(0)
    expect((await readdir(cwd)).sort()).toEqual(['dist', 'example.py', 'pyproject.toml', 'untracked.py'])
    expect((await readdir(tmpdir())).filter((name) => name.startsWith('devpi-') && ran.out[0]?.includes(name))).toEqual([])
  })

  /** Says what is there of the sources and their repository, and builds nothing. */
  const LOOK = '#!/bin/sh\n[ "$1" = -c ] && exit 0\nfind . -type f ! -path "./.[gh]*/*" | sort\ngit rev-parse --absolute-git-dir 2>/dev/null || hg root 2>/dev/null\nexit 3\n'
  const look = async (line: string, cwd: string): Promise<Ran> => {
    await put({ 'look.sh': LOOK })
    await chmod(home.path('look.sh'), 0o755)
    const ran = await home.run(`upload ${line} -v -p ${home.path('look.sh')}`, { cwd })
    return { ...ran, out: ran.out.slice(ran.out.findIndex((text) => text.startsWith('pre-build')) + 1) }
  }

  testWith(['hg'])('out of a Mercurial repository, the whole of it or the project alone', async () => {
    await begin('hga')
    await rm(join(folder, '.git'), { recursive: true })
    const hg = (...args: string[]): void => void execFileSync('hg', ['--cwd', folder, '--config', 'ui.username=t', ...args], { stdio: 'ignore', env: { ...process.env, HGPLAIN: '1' } })
    hg('init')
    hg('add', 'sub/example/pyproject.toml', 'sub/example/example.py')
    hg('commit', '-m', 'x')
    const cwd = join(folder, 'sub/example')
    expect((await look('', cwd)).out).toEqual(['./example.py', './pyproject.toml', expect.stringMatching(/\/upload\/devpi-project-\w+$/)])
    const alone = await look('--setupdir-only', cwd)
    expect(alone.out).toEqual(['./example.py', './pyproject.toml'])
    expect(alone.err).toContain('not copying vcs repository metadata for .hg')
  })

  test('out of a submodule of git, whose data lies elsewhere', async () => {
    await begin('gsu')
    const git = (...args: string[]): void => void execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'protocol.file.allow=always', ...args], { cwd: folder, stdio: 'ignore' })
    git('init', '-q', 'outer')
    git('-C', 'outer', 'submodule', 'add', '-q', folder, 'inner')
    expect((await look('', join(folder, 'outer/inner/sub/example'))).out).toEqual(['./deleted.txt', './example.py', './pyproject.toml', join(folder, 'outer/.git/modules/inner')])
  })

  test('out of a repository that has nothing of the project', async () => {
    await begin('gno')
    await mkdir(join(folder, 'new'))
    await writeFile(join(folder, 'new/setup.py'), '')
    const cwd = join(folder, 'new')
    expect(await look('', cwd)).toMatchObject({ code: 1, err: [`no file of ${cwd} is versioned in ${folder}`, expect.stringContaining('--no-vcs')] })
    expect((await look('--setupdir-only', cwd)).code).toBe(1)
    expect((await look('--no-vcs', cwd)).out).toEqual(['./setup.py', join(folder, '.git')])
  })

  test('names outside ASCII, so many that they come in pieces', async () => {
    await begin('gmany')
    const names = Array.from({ length: 2000 }, (_, at) => `sub/example/${'\u00e4\u4e16\u{1F511}'.repeat(6)}${at}.txt`)
    for (const name of names) await writeFile(join(folder, name), '')
    execFileSync('git', ['-C', folder, 'add', 'sub'], { stdio: 'ignore' })
    const { out, err } = await look('', join(folder, 'sub/example'))
    expect(err.filter((line) => line.includes('not there'))).toEqual([])
    expect(out.filter((line) => line.endsWith('.txt') && line.includes('\u{1F511}'))).toHaveLength(names.length)
  })

  withBuild('a build that fails shows what it printed', async () => {
    await begin('sol')
    const cwd = join(folder, 'sub/example')
    await writeFile(join(cwd, 'pyproject.toml'), '[build-system]\nrequires = []\nbuild-backend = "nowhere"\n')
    const ran = await home.run('upload --no-isolation -p /usr/bin/python3', { cwd })
    expect(ran.code).toBe(1)
    expect(ran.err.join('\n')).toMatch(/nowhere[\s\S]*build failed with exit code 1/)
  })

  test('an interruption ends the build, and leaves nothing behind', async () => {
    await begin('tea')
    await put({ 'slow/setup.py': '', 'python.sh': '#!/bin/sh\n[ "$1" = -c ] && exit 0\necho built by $$ >&2\nsleep 60\n' })
    await chmod(home.path('python.sh'), 0o755)
    const stop = new AbortController()
    const started = home.until('built by ')
    const running = home.run('upload -v -p ../python.sh', { cwd: home.path('slow'), interrupted: stop.signal })
    await started
    stop.abort()
    const { code, out, err } = await running
    expect([code, err.at(-1)]).toEqual([130, 'interrupted'])
    expect(existsSync(out[0]?.replace('using workdir ', '') ?? '/')).toBe(false)
    expect((await readdir(home.path('slow'))).sort()).toEqual(['setup.py'])
  })

  test.each([
    [{ 'setup.cfg': '[devpi:upload]\nsdist = maybe\n' }, "Got non-boolean 'maybe' for 'sdist', use true or false."],
    [{ 'pyproject.toml': '[tool.devpi.upload]\nwheel = "yes"\n' }, `Got non-boolean '"yes"' for 'wheel', use true or false.`],
    [{ 'setup.cfg': '[devpi:upload]\n', 'pyproject.toml': '[tool.devpi.upload]\n' }, 'Got configuration in pyproject.toml and setup.cfg, choose one.'],
  ])('settings that cannot be meant: %j', async (files: Readonly<Record<string, string>>, message) => {
    await begin(`t${String(server.head())}`)
    await put({ 'setup.py': '', ...files })
    expect((await home.run('upload')).err).toContain(message)
  })
})

test.each([
  ['x-1.0.tar.gz', 'source', 'sdist'],
  ['x-1.0.zip', 'source', 'sdist'],
  ['x-1.0-py3-none-any.whl', '3', 'bdist_wheel'],
  ['x-1.0-py2.py3-none-any.whl', '2.7', 'bdist_wheel'],
  ['x-1.0-1-cp311-cp311-manylinux_2_17_x86_64.whl', '3.11', 'bdist_wheel'],
  ['x-1.0-py310-none-any.whl', '3.10', 'bdist_wheel'],
  ['x-1.0-py3.9.egg', '3.9', 'bdist_egg'],
  ['x-1.0.win32-py2.7.exe', '2.7', 'bdist_wininst'],
  ['x-1.0.linux-x86_64.tar.gz', 'any', 'bdist_dumb'],
])('%s is for %s, a %s', (filename, pyversion, filetype) => expect(kindOf(filename)).toEqual({ pyversion, filetype }))

test('headers of core metadata', async () => {
  expect(parseHeaders('Name: kite\r\nClassifier: A\nClassifier: B\nSummary: one\n        two\n\nBody: text\n')).toEqual([
    ['name', 'kite'], ['classifier', 'A'], ['classifier', 'B'], ['summary', 'one\ntwo'], ['description', 'Body: text\n'],
  ])
  await put({ 'kite-1.0-py3-none-any.whl': wheel('kite', '1.0', { metadata: { Platform: ['any'], 'Supported-Platform': ['linux'], 'Provides-Extra': ['x', 'y'] } }).bytes })
  const { fields } = await readDistribution(home.path('kite-1.0-py3-none-any.whl'), new AbortController().signal)
  expect(fields).toEqual(expect.arrayContaining([['platform', 'any'], ['supported_platform', 'linux'], ['provides_extras', 'x'], ['provides_extras', 'y'], ['pyversion', '3']]))
  expect(await readFile(home.path('kite-1.0-py3-none-any.whl'))).toBeDefined()
})
