// Brings a checkout to the state in which it can serve and be tested. Plain JavaScript on Node's own modules: it must run
// on a fresh clone. What is already in place is recognised by content and left alone, so the second run takes no time.
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, compilerOf } from './build.js'
import { withLock } from './lock.js'
import { run } from './run.js'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))
const OLDEST_NODE = [20, 19]
/** What a build is made of, from the root. */
export const SOURCES = ['log-format', 'server', 'cli', 'scripts', 'test', 'tsconfig.json', 'package.json', 'package-lock.json']

/** Something the reader of the message can mend. */
export class SetUpFailure extends Error {}

/** Installs what is missing, builds what is stale, links the commands. `tests` asks for the development packages too. */
export async function setUp({ tests = false } = {}) {
  requireNode()
  await withLock(join(ROOT, '.set-up.lock'), say, async () => {
    const sources = digestOf(SOURCES)
    const stale = readStamp('dist') !== sources
    if (!isInstalled() || ((stale || tests) && !hasDevelopmentPackages())) await install()
    if (stale) await compile(sources)
    linkCommands()
  })
}

/** Only the first part of it: all packages, for what has work to do even if the sources do not compile. */
export async function installPackages() {
  requireNode()
  await withLock(join(ROOT, '.set-up.lock'), say, async () => {
    if (!isInstalled() || !hasDevelopmentPackages()) await install()
  })
}

/** Names the build that is in dist; undefined when there is none. */
export function currentBuild() {
  return readStamp('dist')
}

/** For npm's own installs: notes that node_modules is complete, builds, links. `npx` comes here too, having installed nothing. */
export async function finishInstall() {
  if (!hasDevelopmentPackages()) return
  await withLock(join(ROOT, '.set-up.lock'), say, async () => {
    if (['ci', 'install'].includes(process.env.npm_command)) writeStamp('node_modules', digestOf(['package-lock.json']))
    const sources = digestOf(SOURCES)
    if (readStamp('dist') !== sources) await compile(sources)
    linkCommands()
  })
}

/** Runs one of these scripts: a failure the reader can mend is one sentence, anything else keeps its stack. */
export async function asCommand(main) {
  try {
    process.exitCode = (await main()) ?? process.exitCode ?? 0
  } catch (error) {
    say(error instanceof SetUpFailure ? error.message : error.stack)
    process.exitCode = 1
  }
}

export function say(line) {
  process.stderr.write(`devpi: ${line}\n`)
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return
  throw new SetUpFailure(`Node ${OLDEST_NODE.join('.')} or newer is needed, this is ${process.versions.node}; install a newer Node and try again`)
}

function isInstalled() {
  return readStamp('node_modules') === digestOf(['package-lock.json'])
}

function hasDevelopmentPackages() {
  return existsSync(compilerOf(ROOT)) && existsSync(join(ROOT, 'node_modules/jest/bin/jest.js'))
}

async function install() {
  say('installing packages (npm ci)')
  // Nothing we depend on needs an install script; ours would build, which the next step does.
  const args = ['ci', '--ignore-scripts', '--include=dev', '--loglevel=error']
  const npm = process.env.npm_execpath
  const underNpm = npm !== undefined && /npm-cli\.c?js$/.test(npm)
  const options = { cwd: ROOT, stdio: ['ignore', 2, 2] }
  const code = underNpm
    ? await run(process.execPath, [npm, ...args], options)
    : await run('npm', args, { ...options, shell: process.platform === 'win32' })
  if (code !== 0) {
    throw new SetUpFailure(
      'npm ci failed, see its message above; check that this machine reaches its package registry ' +
        '(`npm config get registry`) and may write to this folder, then try again',
    )
  }
  writeStamp('node_modules', digestOf(['package-lock.json']))
}

async function compile(sources) {
  say('building')
  if (!(await build(ROOT))) throw new SetUpFailure('the build failed, see the compiler above; correct the source and try again')
  writeStamp('dist', sources)
}

/** npm links the commands of packages, not of the checkout itself; with these `npx devpi-server` finds ours. */
function linkCommands() {
  const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  mkdirSync(join(ROOT, 'node_modules/.bin'), { recursive: true })
  const folder = realpathSync(join(ROOT, 'node_modules/.bin'))
  for (const [name, file] of Object.entries(bin)) {
    const target = join(ROOT, file)
    const link = join(folder, name)
    if (!existsSync(target) || leadsTo(link, target)) continue
    rmSync(link, { force: true })
    if (process.platform === 'win32') {
      writeFileSync(`${link}.cmd`, `@node "${target}" %*\r\n`)
    } else {
      chmodSync(target, 0o755)
      symlinkSync(relative(folder, target), link)
    }
  }
}

function leadsTo(link, target) {
  return existsSync(link) && realpathSync(link) === realpathSync(target)
}

/** SHA-256 over the names and contents of files and of everything in folders. */
function digestOf(names) {
  const hash = createHash('sha256')
  for (const file of names.flatMap((name) => filesUnder(name))) {
    const content = readFileSync(join(ROOT, file))
    hash.update(`${file}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

function filesUnder(name) {
  const path = join(ROOT, name)
  if (!existsSync(path)) return []
  try {
    return readdirSync(path)
      .sort()
      .flatMap((child) => filesUnder(join(name, child)))
  } catch (error) {
    if (error.code === 'ENOTDIR') return [name]
    throw error
  }
}

function readStamp(folder) {
  const file = join(ROOT, folder, '.set-up-stamp')
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

function writeStamp(folder, stamp) {
  writeFileSync(join(ROOT, folder, '.set-up-stamp'), stamp)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await asCommand(setUp)
