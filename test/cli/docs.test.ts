import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PYTHON, testWith } from '#test/support/real-clients.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { DevpiHome, type Ran } from './run-devpi.js'
import { callsOf, standIn } from './stand-in.js'

/** `devpi upload` with documentation, built by a Sphinx that only copies, and with what it says of building. */
const testBuild = testWith(['build', 'setuptools'])
const SPHINX = 'for word in "$@"; do from=$into; into=$word; done\nmkdir -p "$into" && cp -r "$from"/. "$into" && mkdir "$into/.doctrees" && touch "$into/.doctrees/x" "$into/.buildinfo"'

let server: TestServer
let home: DevpiHome
let env: NodeJS.ProcessEnv
let root: string
beforeAll(async () => {
  server = await startServer()
  root = `${server.url}/`
})
afterAll(() => server[Symbol.asyncDispose]())
beforeEach(async () => {
  home = await DevpiHome.open()
  env = await standIn(home, 'sphinx-build', SPHINX)
  await put({
    'p/pyproject.toml': '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "kite"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["kite"]\n',
    'p/kite.py': 'x = 1\n',
    'p/docs/conf.py': '',
    'p/docs/index.html': '<p>built</p>',
    'p/ready/index.html': '<p>ready</p>',
    'p/dist/old.txt': 'x',
  })
})
afterEach(() => home[Symbol.asyncDispose]())

async function put(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(home.path(name)), { recursive: true })
    await writeFile(home.path(name), text)
  }
}

async function begin(user: string): Promise<void> {
  for (const line of [`use ${server.url}`, `user -c ${user} password=1`, `login ${user} --password=1`, 'index -c dev bases=', 'use dev']) await home.succeed(line)
}

const upload = (line: string): Promise<Ran> => home.run(`upload -p ${PYTHON} --no-isolation ${line}`, { cwd: home.path('p'), env })
const page = async (path: string): Promise<string> => (await server.fetch(path)).text()
const actions = ({ out }: Ran): readonly string[] => out.filter((line) => /^(?:built|file_upload|doc_upload|skipped)/.test(line)).map((line) => line.replace(/\d+kb$/, 'Nkb').replace(root, 'ROOT/'))

testBuild('with the release', async () => {
  await begin('ann')
  const ran = await upload('--with-docs --wheel')
  expect([ran.code, actions(ran)]).toEqual([0, [
    'built: dist/kite-1.0-py3-none-any.whl Nkb',
    'built: dist/kite-1.0.doc.zip [sphinx docs] Nkb',
    'file_upload of kite-1.0-py3-none-any.whl to ROOT/ann/dev/',
    'doc_upload of kite-1.0.doc.zip to ROOT/ann/dev/',
  ]])
  expect(await page('/ann/dev/kite/1.0/+doc/index.html')).toBe('<p>built</p>')
  expect((await server.fetch('/ann/dev/kite/1.0/+doc/.buildinfo')).status).toBe(404)
  expect((await callsOf(home, 'sphinx-build')).map(({ args }) => args)).toEqual([expect.stringMatching(/^-E -b html -d \S+\/doctrees \S+\/docs \S+\/html$/)])
})

testBuild('alone, of a release that is there', async () => {
  await begin('bea')
  expect((await upload('--wheel')).code).toBe(0)
  await rm(home.path('p/docs'), { recursive: true })
  expect(await upload('--only-docs')).toMatchObject({ code: 1, err: expect.arrayContaining(['no conf.py found in doc, docs or source', 'name built pages with --docs-dir']) })
  const ran = await upload('--only-docs --docs-dir ready')
  expect([ran.code, actions(ran)]).toEqual([0, ['built: dist/kite-1.0.doc.zip [sphinx docs] Nkb', 'doc_upload of kite-1.0.doc.zip to ROOT/bea/dev/']])
  expect(await page('/bea/dev/kite/1.0/+doc/index.html')).toBe('<p>ready</p>')
  expect((await upload('--only-docs --docs-dir p')).err.at(-1)).toMatch(/p has no index.html$/)
  expect(await upload('--with-docs --only-docs')).toMatchObject({ code: 2 })
})

testBuild('what lies in dist stays, also where nothing is uploaded, unless it is to be emptied', async () => {
  await begin('cat')
  const ran = await upload('--sdist --dry-run')
  expect([ran.code, actions(ran)]).toEqual([0, ['built: dist/kite-1.0.tar.gz Nkb', 'skipped: file_upload of kite-1.0.tar.gz to ROOT/cat/dev/']])
  expect((await readdir(home.path('p/dist'))).sort()).toEqual(['kite-1.0.tar.gz', 'old.txt'])
  expect(await home.succeed('list')).toEqual([])
  expect((await upload('--wheel --clean')).code).toBe(0)
  expect(await readdir(home.path('p/dist'))).toEqual(['kite-1.0-py3-none-any.whl'])
})

test.each([
  ['--formats sdist.tgz', '--sdist'],
  ['--formats bdist_wheel', '--wheel'],
  ['--formats sdist,bdist_wheel', '--sdist --wheel'],
  ['--formats sdist --wheel', '--wheel'],
  ['', ''],
])('%j asks for %j', async (line, wanted) => {
  await begin(`u${String(server.head())}`)
  await put({ 'python.sh': '#!/bin/sh\n[ "$1" = -c ] || echo "asked: $*"\n' })
  await chmod(home.path('python.sh'), 0o755)
  const { out, err } = await home.run(`upload -v -p ../python.sh ${line}`, { cwd: home.path('p') })
  expect(out.filter((text) => text.startsWith('asked')).map((text) => text.replace(/^asked: -m build --outdir \S+ ?/, ''))).toEqual([wanted])
  expect(err.includes('The --formats option is deprecated, use --sdist and --wheel.')).toBe(line.includes('--formats'))
})
