import { execFile } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { KeyRange } from '#log-format/key-pattern.js'
import { keys } from '#log-format/keys.js'
import { main as diff } from '#scripts/log-diff.js'
import { main, SEEDED_PASSWORD } from '#scripts/seed.js'
import { SeedPlan } from '#scripts/seed-parts/plan.js'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { Storage } from '#server/storage/storage.js'
import { ROOT } from '#test/support/child-server.js'
import { testWith, Workshop } from '#test/support/real-clients.js'
import { startServer } from '#test/support/server.js'
import { collect, tempFolder, type TempFolder } from '../storage/temp-storage.js'

const SMALL = ['--users', '2', '--indexes', '2', '--projects', '3', '--versions', '2']
const TIME = ['--time', '1700000000000']

let folder: TempFolder
beforeEach(async () => {
  folder = await tempFolder()
})
afterEach(() => folder[Symbol.asyncDispose]())

interface Seeded {
  readonly code: number
  readonly printed: string
  readonly told: string
}

async function seed(...argv: readonly string[]): Promise<Seeded> {
  let [printed, told] = ['', '']
  const code = await main(argv, { print: (text) => (printed += text), tell: (text) => (told += text) })
  return { code, printed, told }
}

/** What `log-diff` says of two folders. */
async function compare(a: string, b: string): Promise<string> {
  let text = ''
  await diff([a, b], (more) => (text += more))
  return text
}

/** What `devpi-fsck` says; rejects when it finds anything. */
async function fsck(serverDir: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'server/bin/devpi-fsck.js'), '--serverdir', serverDir])
  return stdout
}

/** How many keys of each family there are. */
async function countKeys(serverDir: string): Promise<Record<string, number>> {
  await using storage = await Storage.open({ folder: serverDir, projections: ALL_PROJECTIONS })
  const count = async <T>(range: KeyRange<T>): Promise<number> => (await collect(storage.reader().scan(range))).length
  return {
    user: await count(keys.user.under()),
    index: await count(keys.index.under()),
    project: await count(keys.project.under()),
    version: await count(keys.version.under()),
    link: await count(keys.link.under()),
  }
}

test('an empty folder becomes a server directory with all that was asked for', async () => {
  const { code, printed, told } = await seed('--serverdir', join(folder.path, 'new'), ...SMALL)
  expect(code).toBe(0)
  expect(printed).toMatch(/^added 2 users, 4 indexes, 12 projects, 24 versions with 48 files to \S+, serial 54\n/)
  expect(printed).toContain(`ada-s1 for one, has the password ${SEEDED_PASSWORD};`)
  expect(told).toMatch(/^seed: 24 of 24 versions, \d+ a second\n$/)
  const [, entries, batches] = /(\d+) entries in (\d+) synced batches/.exec(printed) ?? []
  expect(Number(entries)).toBe(55)
  expect(Number(batches)).toBeLessThan(20) // uploads wait together
  expect(await countKeys(join(folder.path, 'new'))).toEqual({ user: 3, index: 5, project: 12, version: 24, link: 48 })
  expect(await fsck(join(folder.path, 'new'))).toMatch(/^all is well: 55 entries, \d+ rows, 48 files, 0 of which/)
})

test('the same seed, sizes and time make the same log, another seed another one', async () => {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => join(folder.path, name)) as [string, string, string]
  for (const [dir, number] of [[a, '5'], [b, '5'], [c, '6']] as const) await seed('--serverdir', dir, '--seed', number, ...SMALL, ...TIME)
  expect(await compare(a, b)).toBe('the logs are the same up to serial 54\n')
  expect(await compare(a, c)).toContain('the logs part at serial 1')
})

test('a second run adds what is missing, and nothing when nothing is', async () => {
  const dir = ['--serverdir', folder.path]
  await seed(...dir, ...SMALL)
  expect((await seed(...dir, ...SMALL)).printed).toContain('added 0 users, 0 indexes, 0 projects, 0 versions with 0 files')
  const more = await seed(...dir, '--users', '3', '--indexes', '2', '--projects', '3', '--versions', '3')
  // A third version of the twelve projects there were, and three for each of the six of the new user.
  expect(more.printed).toContain('added 1 users, 2 indexes, 6 projects, 30 versions with 60 files')
  const beside = await seed(...dir, '--seed', '2', ...SMALL)
  expect(beside.printed).toContain('added 2 users, 4 indexes, 12 projects, 24 versions with 48 files')
  expect(await countKeys(folder.path)).toEqual({ user: 6, index: 11, project: 30, version: 78, link: 156 })
  expect(await fsck(folder.path)).toMatch(/^all is well: .* 156 files, 0 of which/)
})

test('a server serves it: the password, and files along the chain of bases', async () => {
  await seed('--serverdir', folder.path, '--users', '2', '--indexes', '3', '--projects', '1', '--versions', '1')
  await using server = await startServer({ serverDir: folder.path })
  const login = await server.fetch('/+login', { method: 'POST', body: JSON.stringify({ user: 'blaise-s1', password: SEEDED_PASSWORD }) })
  expect(login.status).toBe(200)
  const page = await server.fetch('/blaise-s1/dev/+simple/amber-anchor/', { headers: { Accept: 'application/vnd.pypi.simple.v1+json' } })
  const { versions, files } = (await page.json()) as { versions: string[]; files: { url: string; 'core-metadata': unknown }[] }
  expect(versions).toEqual(['1.0.0', '2.0.0', '3.0.0'])
  expect(files).toHaveLength(6)
  for (const { url } of files) expect((await server.fetch(new URL(url, page.url).pathname)).status).toBe(200)
})

testWith(['venv', 'ensurepip'])('pip installs a seeded wheel and a seeded sdist with what they require', async () => {
  const size = { users: 1, indexes: 2, projects: 8, versions: 2 }
  await seed('--serverdir', folder.path, ...Object.entries(size).flatMap(([name, count]) => [`--${name}`, String(count)]))
  const needy = [...new SeedPlan(1, size).releases()].findLast(({ metadata }) => metadata['Requires-Dist'] !== undefined)!
  const required = String(needy.metadata['Requires-Dist']).replace('>=1.0', '-2.0.1')
  await using server = await startServer({ serverDir: folder.path })
  await using workshop = await Workshop.open()
  const pip = await workshop.venv('env')
  const index = ['install', '--index-url', `${server.url}/${needy.user}/${needy.index}/+simple/`]
  const installed = await workshop.succeed(pip, [...index, needy.project])
  expect(installed).toMatch(/^Successfully installed /m)
  expect(installed).toContain(` ${needy.project}-2.0.1`)
  expect(installed).toContain(` ${required}`)
  await workshop.succeed(pip, [...index, '--no-binary', 'amber-anchor', '--no-deps', '--force-reinstall', 'amber-anchor==1.0.0'])
  expect(await workshop.succeed(workshop.path('env/bin/python'), ['-c', 'import amber_anchor; print(amber_anchor.VERSION)'])).toBe('1.0.0\n')
}, 120_000)

test.each([
  ['no folder', []],
  ['an unknown option', ['--serverdir', 'FOLDER', '--user', '3']],
  ['an operand', ['--serverdir', 'FOLDER', '3']],
  ['no number', ['--serverdir', 'FOLDER', '--users', 'many']],
  ['nobody', ['--serverdir', 'FOLDER', '--users', '0']],
  ['a negative number', ['--serverdir', 'FOLDER', '--versions=-1']],
  ['more than a disk holds', ['--serverdir', 'FOLDER', '--users', '1000', '--projects', '1000', '--versions', '1000']],
  ['a file', ['--serverdir', 'FOLDER/file']],
])('wrong usage: %s', async (_, argv) => {
  await writeFile(join(folder.path, 'file'), '')
  const words = argv.map((word) => word.replace('FOLDER', folder.path))
  expect(await seed(...words)).toEqual({ code: 2, printed: '', told: '' })
  expect(await readdir(folder.path)).toEqual(['file'])
})

test('a folder with other things in it is left alone', async () => {
  await writeFile(join(folder.path, 'file'), '')
  expect((await seed('--serverdir', folder.path)).code).toBe(2)
  expect(await readdir(folder.path)).toEqual(['file'])
})

test('a folder in use is refused', async () => {
  await using server = await startServer()
  const head = server.head()
  expect((await seed('--serverdir', server.serverDir)).code).toBe(1)
  expect(server.head()).toBe(head)
})

test('an index that its owner gave to somebody else is refused', async () => {
  {
    await using server = await startServer({ serverDir: folder.path })
    const user = await server.signUp('ada-s1', { stable: {} })
    await user.patch('/ada-s1/stable', { acl_upload: ['root'] })
  }
  expect((await seed('--serverdir', folder.path)).code).toBe(1)
})
