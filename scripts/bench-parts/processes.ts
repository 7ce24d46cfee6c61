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
}

/** The server under test, on a folder of its own. */
export function startServerUnderTest(serverDir: string, further: readonly string[] = []): Promise<Listening> {
  const options = ['--serverdir', serverDir, '--port', '0', '--host', '127.0.0.1', '--argon2-memory-cost', '8', '--argon2-time-cost', '1', ...further]
  return listening(spawn(process.execPath, [join(ROOT, 'server/bin/devpi-server.js'), ...options], { stdio: ['ignore', 'pipe', 'inherit'] }))
}

/** What it is compared with: see `bare-server.ts`. */
export function startBare(folder: string): Promise<Listening> {
  const script = join(ROOT, 'dist/scripts/bench-parts/bare-server.js')
  return listening(spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] }))
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
    [Symbol.asyncDispose]: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}
