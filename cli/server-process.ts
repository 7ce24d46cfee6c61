import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from './base-command.js'
import { Failure, requireGoingOn } from './failure.js'
import { isObject, parseJson } from './json.js'
import { PACKAGE_ROOT } from './package-root.js'
import { expandPath } from './session.js'
import { replaceFile } from './state-files.js'
import { codeOf } from './system-faults.js'

const SERVER = join(PACKAGE_ROOT, 'server/bin/devpi-server.js')
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 20_000
const POLL_MS = 50
const LOG_LINES = 20

/** A server that runs in the background, as its record beside the server directory tells. */
export interface ServerProcess {
  readonly pid: number
  readonly url: string
}

export interface ServerFolder {
  readonly serverDir: string
  readonly recordFile: string
  readonly logFile: string
}

/** The files stand beside the server directory: in it are the server's own. */
export function serverFolder({ env, cwd }: Context, named: string | undefined): ServerFolder {
  const serverDir = expandPath(named ?? '~/.devpi/server', env, cwd)
  return { serverDir, recordFile: `${serverDir}.process.json`, logFile: `${serverDir}.log` }
}

/** The one that runs; undefined when none does, whatever the record says. */
export async function runningServer({ recordFile }: ServerFolder): Promise<ServerProcess | undefined> {
  const record = parseJson(await readFile(recordFile, 'utf8').catch(() => ''))
  if (!isObject(record)) return undefined
  const { pid, url } = record
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 1 || typeof url !== 'string') return undefined
  return (await isServer(pid)) ? { pid, url } : undefined
}

/** Another program may have the number by now. */
async function isServer(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  if (!existsSync('/proc/self/cmdline')) return true
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('devpi-server.js')
}

export async function requireNoServer(folder: ServerFolder): Promise<void> {
  const known = await runningServer(folder)
  if (known !== undefined) throw new Failure('CONFIG', `a server is already running at ${known.url}`)
}

/** Starts one, and waits until it answers. Fails with what it wrote when it does not. */
export async function startServer(context: Context, folder: ServerFolder, { port }: { readonly port: number }): Promise<ServerProcess> {
  const { terminal, env } = context
  const url = `http://localhost:${port}`
  await requireNoServer(folder)
  await mkdir(dirname(folder.serverDir), { recursive: true, mode: 0o700 })
  const args = [SERVER, '--serverdir', folder.serverDir, '--port', String(port)]
  terminal.line(`starting background devpi-server at ${url}`)
  terminal.line(`${dirname(folder.serverDir)}$ devpi-server ${args.slice(1).join(' ')}`)
  const from = (await stat(folder.logFile).catch(() => undefined))?.size ?? 0
  const log = await open(folder.logFile, 'a', 0o600)
  const child = spawn(process.execPath, args, { env, cwd: dirname(folder.serverDir), detached: true, stdio: ['ignore', log.fd, log.fd] })
  await log.close()
  child.unref()
  const { pid } = child
  if (pid === undefined) throw new Failure('CONFIG', 'the server could not be started')
  terminal.line(`process 'devpi-server' started pid=${pid}`)
  await untilReady(context, folder, { pid, from })
  await replaceFile(folder.recordFile, JSON.stringify({ pid, url }), 0o600)
  terminal.line('devpi-server process startup detected')
  terminal.line(`logfile is at ${folder.logFile}`)
  return { pid, url }
}

/** Its own line says that it is ready. */
async function untilReady({ surroundings }: Context, { logFile }: ServerFolder, { pid, from }: { readonly pid: number; readonly from: number }): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  for (;;) {
    const text = (await readFile(logFile)).subarray(from).toString('utf8')
    if (/^devpi-server ready: /m.test(text)) return
    const gone = !(await isServer(pid))
    if (gone || Date.now() > deadline || surroundings.interrupted.aborted) {
      if (!gone) await endServer(pid)
      requireGoingOn(surroundings.interrupted)
      throw new Failure('CONFIG', `the server did not start\n${text.trim().split('\n').slice(-LOG_LINES).join('\n')}`)
    }
    await sleep(POLL_MS)
  }
}

/** Ends the one that runs, if one does, and waits until it is gone. Gives its number. */
export async function stopServer(folder: ServerFolder): Promise<number | undefined> {
  const known = await runningServer(folder)
  if (known === undefined) {
    await rm(folder.recordFile, { force: true })
    return undefined
  }
  await endServer(known.pid)
  await rm(folder.recordFile, { force: true })
  return known.pid
}

async function endServer(pid: number): Promise<void> {
  try {
    process.kill(pid, 'SIGTERM')
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw new Failure('CONFIG', `failed to kill server pid=${pid}`, { cause: error })
  }
  const deadline = Date.now() + STOP_TIMEOUT_MS
  while (await isServer(pid)) {
    if (Date.now() > deadline) throw new Failure('CONFIG', `failed to kill server pid=${pid}`)
    await sleep(POLL_MS)
  }
}

/** The end of what it wrote. */
export async function logTail({ logFile }: ServerFolder, lines = LOG_LINES): Promise<string[]> {
  const text = await readFile(logFile, 'utf8').catch(() => '')
  return text.trimEnd().split('\n').filter((line) => line !== '').slice(-lines)
}
