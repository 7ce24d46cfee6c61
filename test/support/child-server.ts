import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** The root of the checkout, from dist/test/support. */
export const ROOT = join(import.meta.dirname, '../../..')

/** A server in a process of its own, as an operator starts it. */
export interface ChildServer extends AsyncDisposable {
  readonly url: string
  readonly process: ChildProcess
  /** The line that says it is ready. */
  readonly readyLine: string
  /** Ends it as a power cut would; resolves when it is gone. */
  kill(): Promise<void>
}

const CHEAP = ['--argon2-memory-cost', '8', '--argon2-time-cost', '1', '--argon2-parallelism', '1']

/** Starts it on a free port and waits until it is ready. Rejects with what it printed when it is not going to be. */
export async function startChild(serverDir: string, options: readonly string[] = [], program = join(ROOT, 'server/bin/devpi-server.js'), nodeOptions: readonly string[] = []): Promise<ChildServer> {
  const args = [...nodeOptions, program, '--serverdir', serverDir, '--port', '0', '--host', '127.0.0.1', ...CHEAP, ...options]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  child.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })
  const readyLine = await Promise.race([
    once(lines, 'line').then(([line]) => line as string),
    exited.then(() => Promise.reject(new Error(`the server ended before it was ready: ${printed}`))),
  ])
  const url = /http:\/\/\S+/.exec(readyLine)?.[0]
  if (url === undefined) throw new Error(`not a ready line: ${readyLine}`)
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal)
    await exited
    lines.close()
  }
  return { url, process: child, readyLine, kill: () => end('SIGKILL'), [Symbol.asyncDispose]: () => end('SIGTERM') }
}
