import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from './base-command.js'
import { runChild } from './children.js'
import { Failure } from './failure.js'
import { describeInstaller, PUBLISHING, readInstallerStates } from './installer-config.js'
import { listOf, objectOf, textOf } from './json.js'
import { targetOf } from './place.js'
import { proxyFor } from './proxy.js'
import { messageOf, type Reply } from './reply.js'
import { isDamaged } from './state-files.js'
import { findProgram, findVenv, type Venv } from './venv.js'

/** One thing that was looked at; an entry of `checks` with `--json`. */
export interface Check {
  readonly id: string
  readonly status: 'ok' | 'warn' | 'error'
  readonly detail: string
  /** What to type or change. */
  readonly fix?: string
}

const SLOW_MS = 2000
const MOST_SKEW_S = 60
const SOON_S = 30 * 60
const TOOLS = [
  { name: 'pip', needed: 'install' },
  { name: 'tox', needed: 'test' },
  { name: 'uv', needed: 'install --uv' },
  { name: 'git', needed: 'upload from a git repository' },
  { name: 'sphinx-build', needed: 'upload --with-docs' },
] as const

/** Looks at everything that commands rely on, one after the other. A check that fails keeps none of the others back. */
export async function examine(context: Context): Promise<Check[]> {
  return [...(await checkState(context)), ...(await checkServer(context)), ...(await checkTools(context)), ...(await checkInstallers(context))]
}

async function checkState({ session }: Context): Promise<Check[]> {
  const path = join(session.clientDir, 'auth.json')
  const files = ['current.json', 'auth.json', 'settings.json'].map((name) => join(session.clientDir, name))
  for (const file of files) {
    if (await isDamaged(file)) return [{ id: 'state', status: 'error', detail: `${file} cannot be understood, and counts as empty`, fix: 'mend it, or remove it' }]
  }
  const found = await stat(path).catch(() => undefined)
  if (found === undefined || process.platform === 'win32') return [{ id: 'state', status: 'ok', detail: `state is in ${session.clientDir}` }]
  const open = (found.mode & 0o077) !== 0
  if (open) return [{ id: 'state', status: 'error', detail: `others may read the logins in ${path}`, fix: `chmod 600 ${path}` }]
  return [{ id: 'state', status: 'ok', detail: `logins in ${path} are for you alone` }]
}

async function checkServer(context: Context): Promise<Check[]> {
  const { session, client, env, surroundings } = context
  if (session.place === undefined) return [{ id: 'server', status: 'error', detail: 'no server is selected', fix: 'devpi use URL' }]
  const target = targetOf(session.place)
  const proxy = proxyFor(target.root, env)
  const route: Check[] = proxy === undefined ? [] : [{ id: 'proxy', status: 'ok', detail: `requests go through the proxy ${proxy.host}` }]
  const began = surroundings.now()
  let reply: Reply
  try {
    reply = await client.api('GET', `${target.root}+api`, { tolerate: 'all' })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return [...route, { id: 'server', status: 'error', detail: error.message.replaceAll('\n', ' '), ...(error.hint !== undefined && { fix: error.hint }) }]
  }
  const tookMs = surroundings.now() - began
  return [
    ...route,
    { id: 'server', status: reply.status < 400 && tookMs < SLOW_MS ? 'ok' : 'warn', detail: `${target.root} answers ${reply.status} after ${tookMs} ms` },
    ...(session.settingsFor(target.root).insecure === true ? [{ id: 'tls', status: 'warn', detail: 'the certificate of the server is not checked', fix: `devpi use --ca-cert FILE ${target.root}` } as const] : []),
    checkClock(reply, surroundings.now()),
    ...checkNetrc(context, target.root),
    checkLogin(context, reply, target.root),
    await checkIndex(context, target.index, target.pypisubmit),
  ]
}

/** Logins and tokens end by the clock of the server. */
function checkClock({ headers }: Reply, now: number): Check {
  const server = Date.parse(headers['date'] ?? '')
  if (Number.isNaN(server)) return { id: 'clock', status: 'ok', detail: 'the server does not tell its time' }
  const skew = Math.round((now - server) / 1000)
  if (Math.abs(skew) <= MOST_SKEW_S) return { id: 'clock', status: 'ok', detail: 'this clock and that of the server agree' }
  return { id: 'clock', status: 'warn', detail: `this clock is ${Math.abs(skew)} s ${skew > 0 ? 'ahead of' : 'behind'} that of the server`, fix: 'set the clock' }
}

/** What it adds to requests without being asked, or why it does not. */
function checkNetrc({ netrc }: Context, root: string): Check[] {
  const problem = netrc.problem()
  if (problem !== undefined) return [{ id: 'netrc', status: 'error', ...problem }]
  const found = netrc.loginFor(root)
  return found === undefined ? [] : [{ id: 'netrc', status: 'ok', detail: `${netrc.path ?? ''} has '${found.username}' for ${new URL(root).hostname}` }]
}

function checkLogin({ client, session, surroundings }: Context, reply: Reply, root: string): Check {
  const login = client.loginFor(root)
  if (login === undefined) return { id: 'login', status: 'warn', detail: 'nobody is logged in', fix: 'devpi login USER' }
  const [state] = listOf(objectOf(reply.json?.['result'])['authstatus'])
  if (login.fromNetrc === true && state !== 'ok') return { id: 'login', status: 'warn', detail: `nobody is logged in, and the server does not know '${login.user}' of .netrc`, fix: 'devpi login USER' }
  if (state !== 'ok') return { id: 'login', status: 'error', detail: `the login of '${login.user}' is not accepted: ${textOf(state) ?? 'unknown'}`, fix: `devpi login ${login.user}` }
  const ends = session.settingsFor(root).expires?.[login.user]
  const left = ends === undefined || login.fromEnvironment === true || login.fromNetrc === true ? undefined : ends - surroundings.now() / 1000
  if (left === undefined) return { id: 'login', status: 'ok', detail: `logged in as ${login.user}` }
  const detail = `logged in as ${login.user} for ${(left / 3600).toFixed(1)} more hours`
  return left < SOON_S ? { id: 'login', status: 'warn', detail, fix: `devpi login ${login.user}` } : { id: 'login', status: 'ok', detail }
}

async function checkIndex({ client }: Context, index: string | undefined, submit: string | undefined): Promise<Check> {
  if (index === undefined) return { id: 'index', status: 'warn', detail: 'no index is selected', fix: 'devpi use USER/NAME' }
  const reply = await client.api('GET', `${index}?no_projects=`, { tolerate: 'all' })
  if (reply.status >= 400) return { id: 'index', status: 'error', detail: `${index} answers ${reply.status} ${messageOf(reply) ?? reply.reason}`, fix: 'devpi use -l' }
  return { id: 'index', status: 'ok', detail: `${index} can be read${submit === undefined ? ', not uploaded to' : ''}` }
}

async function checkTools(context: Context): Promise<Check[]> {
  let venv: Venv | undefined
  const checks: Check[] = []
  try {
    venv = findVenv(context)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    checks.push({ id: 'venv', status: 'error', detail: error.message, ...(error.hint !== undefined && { fix: error.hint }) })
  }
  for (const { name, needed } of TOOLS) {
    const path = findProgram(name, venv, context.env)
    checks.push(path === undefined ? { id: name, status: 'warn', detail: `${name} is not there; \`devpi ${needed}\` needs it` } : { id: name, status: 'ok', detail: path })
  }
  const python = ['python3', 'python'].map((name) => findProgram(name, venv, context.env)).find((path) => path !== undefined)
  if (python === undefined) return [...checks, { id: 'python', status: 'warn', detail: 'Python is not there; `devpi upload` needs it to build' }]
  const { code } = await runChild(context, [python, '-c', 'import build.__main__'], { cwd: context.cwd, output: 'kept', silent: true })
  const hasBuild = code === 0
  return [...checks, { id: 'build', status: hasBuild ? 'ok' : 'warn', detail: hasBuild ? `${python} can build` : `${python} has no module 'build'`, ...(!hasBuild && { fix: `${python} -m pip install build` }) }]
}

/** Whether installers look at the index that is selected; those that look at none are as they are. */
async function checkInstallers({ session, env, cwd }: Context): Promise<Check[]> {
  const { simpleindex, pypisubmit } = session.place ?? {}
  const states = await readInstallerStates({ env, cwd, venv: undefined })
  return states.filter(({ index }) => index !== undefined).map((state): Check => {
    const agrees = state.index === (PUBLISHING.includes(state.tool) ? pypisubmit : simpleindex)
    return { id: `config-${state.tool}`, status: agrees ? 'ok' : 'warn', detail: describeInstaller(state, env).replace(/\s+:/, ':'), ...(!agrees && { fix: 'devpi use --set-cfg' }) }
  })
}
