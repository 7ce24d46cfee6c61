import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT, startChild } from '#test/support/child-server.js'

/** What `npm pack` makes, and what whoever installs it gets. */
const run = promisify(execFile)
const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string; bin: Record<string, string>; scripts: Record<string, string> }

let folder: string
let tarball: string
let packed: readonly string[]

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'devpi-package-')))
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: ROOT, maxBuffer: 1 << 24 })
  const [made] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[]
  tarball = join(folder, made!.filename)
  packed = made!.files.map(({ path }) => path)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('the tarball holds the programs, and neither sources nor tests nor maps of them', () => {
  expect(packed).toEqual(expect.arrayContaining(['README.md', 'oclif.manifest.json', 'dist/bundle/main.js', 'dist/bundle/LICENSES.txt', 'dist/server/bin/serve.js', 'dist/log-format/index.d.ts', ...Object.values(MANIFEST.bin)]))
  expect(packed.filter((path) => !/^(README\.md|package\.json|oclif\.manifest\.json|(cli|server)\/bin\/[a-z-]+\.js|dist\/bundle\/LICENSES\.txt|dist\/(bundle|server)\/.*\.js|dist\/log-format\/.*(\.js|\.d\.ts))$/.test(path))).toEqual([])
  expect(Object.keys(MANIFEST.scripts).filter((name) => /^(pre|post)?install$/.test(name))).toEqual([])
})

test('unpacked beside its dependencies, it works', async () => {
  const installed = join(folder, 'unpacked/lib/node_modules/devpi')
  await mkdir(installed, { recursive: true })
  await run('tar', ['xzf', tarball, '--strip-components=1', '-C', installed])
  await symlink(join(ROOT, 'node_modules'), join(installed, 'node_modules'))
  const bin = join(folder, 'unpacked/bin')
  await mkdir(bin)
  for (const [name, path] of Object.entries(MANIFEST.bin)) await symlink(join('../lib/node_modules/devpi', path), join(bin, name))
  await useOf(bin)
})

/** Takes a registry and about ten seconds: done where `TEST_GLOBAL_INSTALL` is set. */
const testInstalled = process.env['TEST_GLOBAL_INSTALL'] === undefined ? test.skip : test

testInstalled('installed for all of a machine without running any script, it works', async () => {
  const prefix = join(folder, 'prefix')
  await run('npm', ['install', '--global', '--prefix', prefix, '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', tarball], { cwd: folder })
  expect((await readdir(join(prefix, 'bin'))).sort()).toEqual(Object.keys(MANIFEST.bin).sort())
  expect((await lstat(join(prefix, 'lib/node_modules/devpi'))).isSymbolicLink()).toBe(false)
  await useOf(join(prefix, 'bin'))
}, 180_000)

/** All programs start, and the client and the server talk to each other. */
async function useOf(bin: string): Promise<void> {
  const home = await mkdtemp(join(folder, 'home-'))
  const env = { HOME: home, PATH: `${bin}:${process.env['PATH'] ?? ''}`, TERM: 'dumb' }
  const devpi = async (...words: string[]): Promise<string> => (await run('devpi', words, { env, cwd: home })).stdout
  for (const name of Object.keys(MANIFEST.bin)) expect((await run(name, ['--version'], { env, cwd: home })).stdout).toContain(MANIFEST.version)
  await using server = await startChild(join(home, 'server'), [], join(bin, 'devpi-server'))
  expect(await devpi('use', server.url)).toContain(`using server: ${server.url}/ (not logged in)\n`)
  expect(await devpi('user', '-c', 'ada', 'password=')).toBe('user created: ada\n')
  expect(await devpi('version')).toContain(`devpi-server ${MANIFEST.version}\n`)
  expect((await fetch(`${server.url}/+openapi.json`)).status).toBe(200)
}
