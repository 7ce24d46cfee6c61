import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { UNVERSIONED } from './example-project.js'
import type { Playground } from './playground.js'
import type { Effect } from './row.js'

const run = promisify(execFile)

/** All of them. */
export function both(...effects: readonly Effect[]): Effect {
  return async (playground, printed) => (await Promise.all(effects.map((effect) => effect(playground, printed)))).flat()
}

/** The server answers, and has the superuser and the mirror from the start. */
export const serverIsThere: Effect = async (playground) => {
  const users = (await playground.isServing()) ? await playground.result('/') : undefined
  const mirror = await playground.result('/root/pypi')
  return [
    ...wrong(users !== undefined && 'root' in users, 'no user root'),
    ...wrong(mirror?.['type'] === 'mirror', 'no mirror root/pypi'),
    ...wrong(existsSync(join(playground.home, '.devpi/server')), 'no server directory'),
  ]
}

export const serverIsGone: Effect = async (playground) => wrong(!(await playground.isServing()), 'the port is still open')

/** The user exists, and this password is the right one. */
export function userExists(password: string): Effect {
  return async (playground) => {
    const reply = await playground.fetch('/+login', { method: 'POST', body: JSON.stringify({ user: 'testuser', password }) })
    return wrong(reply.status === 200, `a login as testuser is answered with ${reply.status}`)
  }
}

/** An index has these settings among others. */
export function indexHas(name: string, settings: Readonly<Record<string, unknown>>): Effect {
  return async (playground) => {
    const found = await playground.result(`/testuser/${name}`)
    if (found === undefined) return [`no index testuser/${name}`]
    return Object.entries(settings).flatMap(([key, value]) => wrong(JSON.stringify(found[key]) === JSON.stringify(value), `${key} of testuser/${name} is ${JSON.stringify(found[key])}, not ${JSON.stringify(value)}`))
  }
}

/** The place that the client keeps. */
export function isCurrent(index: string | undefined): Effect {
  return async (playground) => {
    const { index: current } = await stateOf(playground, 'current.json')
    const wanted = index === undefined ? null : `${playground.url}/${index}`
    return wrong((current ?? null) === wanted, `the current index is ${String(current)}, not ${String(wanted)}`)
  }
}

/** The token of the login is kept, where nobody else can read it. */
export const tokenIsStored: Effect = async (playground) => {
  const { auth } = await stateOf(playground, 'auth.json')
  const logins: unknown = typeof auth === 'object' && auth !== null ? Object.entries(auth).find(([root]) => root === `${playground.url}/`)?.[1] : undefined
  return wrong(Array.isArray(logins) && JSON.stringify(logins).includes('"testuser"'), 'no token of testuser is stored')
}

async function stateOf(playground: Playground, file: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await readFile(join(playground.home, '.devpi/client', file), 'utf8').catch(() => '{}')
  const state: unknown = JSON.parse(text)
  return typeof state === 'object' && state !== null ? { ...state } : {}
}

/** Exactly these files of `example` 1.0 lie on an index, with a test report for each if they were tested. */
export function releaseHas(index: string, files: readonly string[], { tested }: { readonly tested: boolean }): Effect {
  return async (playground) => {
    const links = await ownLinks(playground, index)
    const named = links.filter(({ rel }) => rel === 'releasefile').map(({ href }) => href.slice(href.lastIndexOf('/') + 1)).sort()
    const reports = links.filter(({ rel }) => rel === 'toxresult').length
    return [
      ...wrong(named.join() === [...files].sort().join(), `testuser/${index} has ${named.join(', ') || 'no file'} of example`),
      ...wrong(reports === (tested ? files.length : 0), `testuser/${index} has ${reports} test reports of example`),
    ]
  }
}

/** Of `example` 1.0, without what bases have. */
async function ownLinks(playground: Playground, index: string): Promise<{ readonly rel: string; readonly href: string }[]> {
  const project = await playground.result(`/testuser/${index}/example?ignore_bases=`)
  const version = project?.['1.0']
  const links: unknown = typeof version === 'object' && version !== null && '+links' in version ? version['+links'] : []
  return Array.isArray(links) ? links.map(linkOf) : []
}

function linkOf(value: unknown): { readonly rel: string; readonly href: string } {
  const { rel, href } = typeof value === 'object' && value !== null && 'rel' in value && 'href' in value ? value : { rel: '', href: '' }
  return { rel: String(rel), href: String(href) }
}

/** The release is no longer on the index itself. */
export function releaseIsGone(index: string): Effect {
  return async (playground) => {
    const left = await ownLinks(playground, index)
    return wrong(left.length === 0, `testuser/${index} still has ${left.map(({ href }) => href).join(', ')}`)
  }
}

/** The files lie in the `dist` of the project, nothing else was left there, and the sdist has versioned files only. */
export function wasBuilt(files: readonly string[]): Effect {
  return async ({ project }) => {
    const built = await readdir(join(project, 'dist')).catch(() => [])
    const leftovers = (await readdir(project)).filter((name) => name === 'build' || name.endsWith('.egg-info'))
    const { stdout } = await run('tar', ['-tzf', join(project, 'dist/example-1.0.tar.gz')]).catch(() => ({ stdout: '' }))
    const packed = stdout.split('\n').map((name) => name.replace(/^[^/]*\//, ''))
    return [
      ...wrong(built.sort().join() === [...files].sort().join(), `dist holds ${built.join(', ') || 'nothing'}`),
      ...wrong(leftovers.length === 0, `the build left ${leftovers.join(', ')} in the project`),
      ...wrong(packed.includes('test_example.py') && packed.includes('tox.ini'), 'the sdist has neither tests nor tox.ini'),
      ...wrong(!packed.includes(UNVERSIONED), `the sdist has ${UNVERSIONED}, which is not versioned`),
    ]
  }
}

/** The module comes out of the virtual environment. */
export function isImportable(module: string): Effect {
  return async ({ bench, home }) => {
    const { stdout } = await run(join(bench.venv, 'bin/python'), ['-c', `import ${module}; print(${module}.__file__)`], { cwd: home }).catch(() => ({ stdout: '' }))
    return wrong(stdout.startsWith(`${bench.venv}/`), `${module} cannot be imported from ${bench.venv}`)
  }
}

/** Every command takes its temporary folders away again. */
export const leavesNothingBehind: Effect = async ({ tmp }) => {
  const left = (await readdir(tmp)).filter((name) => name.startsWith('devpi-'))
  return wrong(left.length === 0, `${left.join(', ')} was left in ${tmp}`)
}

function wrong(isRight: boolean, sentence: string): string[] {
  return isRight ? [] : [sentence]
}
