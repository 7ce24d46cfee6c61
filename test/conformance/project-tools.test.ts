import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { wheel } from '#test/support/archives.js'
import { OFFLINE, PYTHON, type RealClient, testWith, Workshop } from '#test/support/real-clients.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const PASSWORD = 'alice secret'

let workshop: Workshop
let server: TestServer
let alice: TestUser
beforeAll(async () => {
  workshop = await Workshop.open()
  server = await startServer()
  alice = await server.signUp('alice', { dev: {}, secret: { acl_read: ['alice'] } })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await workshop[Symbol.asyncDispose]()
})

/** A project of one module that a tool builds and publishes; the back end is what Debian has of it. */
interface Publisher {
  readonly needs: readonly RealClient[]
  readonly pyproject: (name: string) => string
  readonly files?: Readonly<Record<string, string>>
  readonly env: (url: string) => NodeJS.ProcessEnv
  readonly commands: (url: string) => readonly (readonly [command: string, ...args: string[]])[]
}

const PROJECT = (name: string): string => `[project]\nname = "${name}"\nversion = "1.0"\ndescription = "Published by its tool"\nrequires-python = ">=3.8"\n`

const PUBLISHERS: Readonly<Record<string, Publisher>> = {
  flit: {
    needs: ['flit'],
    pyproject: (name) => `${PROJECT(name)}[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n`,
    env: (url) => ({ FLIT_INDEX_URL: url, FLIT_USERNAME: 'alice', FLIT_PASSWORD: PASSWORD }),
    commands: () => [['flit', 'publish', '--no-setup-py']],
  },
  pdm: {
    needs: ['pdm', 'pdm-pep517'],
    // Without requirements, as pdm would want to fetch them although the back end is there.
    pyproject: (name) => `${PROJECT(name)}[build-system]\nrequires = []\nbuild-backend = "pdm.pep517.api"\n`,
    files: { '.pdm.toml': `[python]\npath = "${PYTHON}"\nuse_venv = false\n` },
    env: () => ({ PDM_CHECK_UPDATE: 'false' }),
    commands: (url) => [
      ['pdm', 'build', '--no-isolation'],
      ['pdm', 'publish', '--no-build', '-r', url, '-u', 'alice', '-P', PASSWORD],
    ],
  },
  poetry: {
    needs: ['poetry'],
    pyproject: (name) => `[tool.poetry]\nname = "${name}"\nversion = "1.0"\ndescription = "Published by its tool"\nauthors = []\n[tool.poetry.dependencies]\npython = ">=3.8"\n[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n`,
    env: (url) => ({ POETRY_REPOSITORIES_OURS_URL: url, POETRY_VIRTUALENVS_CREATE: 'false', PYTHON_KEYRING_BACKEND: 'keyring.backends.null.Keyring' }),
    commands: () => [['poetry', 'publish', '--build', '--no-interaction', '-r', 'ours', '-u', 'alice', '-p', PASSWORD]],
  },
}

for (const [tool, { needs, pyproject, files = {}, env, commands }] of Object.entries(PUBLISHERS)) {
  testWith(needs)(`${tool} builds and publishes`, async () => {
    const name = `by-${tool}`
    const folder = workshop.path(tool)
    await mkdir(folder)
    const all = { 'pyproject.toml': pyproject(name), [`by_${tool}.py`]: '"""Published by its tool."""\n', ...files }
    for (const [file, content] of Object.entries(all)) await writeFile(join(folder, file), content)
    const url = `${server.url}/alice/dev/`
    const options = { cwd: folder, env: { ...OFFLINE, ...env(url) } }
    for (const [command, ...args] of commands(url)) await workshop.succeed(command, args, options)

    const { result } = (await (await alice.get(`/alice/dev/${name}/1.0`)).json()) as { result: { summary: string; '+links': { href: string }[] } }
    expect(result.summary).toBe('Published by its tool')
    const names = result['+links'].map(({ href }) => href.slice(href.lastIndexOf('/') + 1))
    expect(names.filter((file) => /^by[-_]\w+-1\.0\.tar\.gz$/.test(file))).toHaveLength(1)
    expect(names.filter((file) => /^by_\w+-1\.0-py[\w.]+-none-any\.whl$/.test(file))).toHaveLength(1)
    expect(names).toHaveLength(2)
  }, 120_000)
}

testWith(['pipenv'])('pipenv locks and installs from an index that asks for a login', async () => {
  for (const file of [wheel('wanted', '1.0', { metadata: { 'Requires-Dist': ['below'] } }), wheel('wanted', '2.0'), wheel('below', '3.0')]) {
    expect((await alice.upload('secret', file)).status).toBe(200)
  }
  const folder = workshop.path('pipenv')
  await mkdir(folder)
  const url = `${server.url}/alice/secret/+simple/`.replace('http://', `http://alice:${encodeURIComponent(PASSWORD)}@`)
  await writeFile(join(folder, 'Pipfile'), `[[source]]\nname = "ours"\nurl = "${url}"\nverify_ssl = false\n\n[packages]\nwanted = "<2"\n`)
  const env = { ...OFFLINE, PIPENV_VENV_IN_PROJECT: '1', PIPENV_NOSPIN: '1', VIRTUALENV_NO_DOWNLOAD: '1' }
  await workshop.succeed('pipenv', ['install', '--python', PYTHON], { cwd: folder, env })
  const listed = await workshop.succeed('pipenv', ['run', 'pip', 'list'], { cwd: folder, env })
  expect(listed).toMatch(/below +3\.0/)
  expect(listed).toMatch(/wanted +1\.0/)
}, 120_000)
