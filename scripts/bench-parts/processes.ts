import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const ROOT = join(import.meta.dirname, '../../..')

/** A process that listens on a free port of this machine. */
export interface Listening extends AsyncDisposable {
  readonly port: number
  /** ms from the start of the process to its being ready. */
  readonly startMs: number
  /** Memory in RAM now, in bytes. */
  rssBytes(): number
  /** Processor time since the start, of all its threads. */
  cpuMs(): number
}

/** Of the clock in which Linux counts processor time. */
const TICK_MS = 10


/** The server under test, on a folder of its own. */
export function startServerUnderTest(serverDir: string, further: readonly string[] = []): Promise<Listening> {
  const options = ['--serverdir', serverDir, '--port', '0', '--host', '127.0.0.1', '--argon2-memory-cost', '8', '--argon2-time-cost', '1', ...further]
  return listening(spawn(process.execPath, [join(ROOT, 'server/bin/devpi-server.js'), ...options], { stdio: ['ignore', 'pipe', 'inherit'] }))
}

/** A replica of a server under test, in a folder of its own. */
export function startReplicaUnderTest(serverDir: string, primary: { readonly port: number; readonly serverDir: string }, options: readonly string[] = []): Promise<Listening> {
  return startServerUnderTest(serverDir, [...options, '--role', 'replica', '--primary-url', `http://127.0.0.1:${primary.port}`, '--secretfile', join(primary.serverDir, '.secret')])
}

/** What it is compared with: see `bare-server.ts`. */
export function startBare(folder: string, ...how: readonly 'logging'[]): Promise<Listening> {
  const script = join(ROOT, 'dist/scripts/bench-parts/bare-server.js')
  return listening(spawn(process.execPath, [script, folder, ...how], { stdio: ['ignore', 'pipe', 'inherit'] }))
}

/** What it mirrors: see `bare-upstream.ts`. */
export function startUpstream(hugeMb: number): Promise<Listening> {
  const script = join(ROOT, 'dist/scripts/bench-parts/bare-upstream.js')
  return listening(spawn(process.execPath, [script, String(hugeMb)], { stdio: ['ignore', 'pipe', 'inherit'] }))
}

/** nginx serving the files of a folder; undefined where it is not installed. */
export async function startNginx(folder: string, configuration: string): Promise<AsyncDisposable | undefined> {
  const child = spawn('nginx', ['-p', folder, '-c', configuration, '-g', 'daemon off;'], { stdio: 'ignore' })
  const failed = once(child, 'error').then(() => true)
  if (await Promise.race([failed, new Promise<boolean>((resolve) => setTimeout(() => { resolve(false) }, 500))])) return undefined
  return { [Symbol.asyncDispose]: () => end(child) }
}

async function listening(child: ChildProcess): Promise<Listening> {
  const start = performance.now()
  if (child.stdout === null) throw new Error('the output of the process is not piped')
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  const port = Number(/:(\d+)/.exec(line)?.[1])
  return {
    port,
    startMs: performance.now() - start,
    rssBytes: () => Number(readFileSync(`/proc/${child.pid}/statm`, 'utf8').split(' ')[1]) * 4096,
    cpuMs: () => cpuTicks(readFileSync(`/proc/${child.pid}/stat`, 'utf8')) * TICK_MS,
    [Symbol.asyncDispose]: () => end(child),
  }
}

/** In user mode and in the kernel; the name of the program stands in front, in parentheses. */
function cpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}
