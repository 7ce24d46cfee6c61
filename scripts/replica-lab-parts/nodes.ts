import { createWriteStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StatusJson } from '#log-format/api/status.js'
import { type ChildServer, startChild } from '#test/support/child-server.js'

/** What a server said of itself a moment ago. */
export type Seen = Pick<StatusJson, 'role' | 'serial' | 'epoch' | 'fenced' | 'replica-state' | 'replica-lag-serials' | 'replica-lag-seconds'>

/** A server of the lab, or where one was: it can be killed, and another be started in its place. */
export interface LabNode extends AsyncDisposable {
  readonly name: string
  readonly url: string
  readonly serverDir: string
  readonly logFile: string
  readonly pid: number
  /** Undefined while nobody answers there. */
  seen: Seen | undefined
  /** Since the start. */
  readonly counts: { writes: number; reads: number; errors: number }
}

const NAMES = ['replica-1', 'replica-2'] as const
const STATUS_TIMEOUT_MS = 2000
const STOP_TIMEOUT_MS = 5000

/** A primary and two replicas, each of which follows whom its configuration file names. `use` is given each as soon as it runs. */
export async function startNodes(folder: string, use: (node: LabNode) => void): Promise<void> {
  const primary = await startNode(folder, 'primary', [])
  use(primary)
  for (const name of NAMES) {
    await writeFile(configFileOf(folder, name), followText(primary.url))
    use(await startNode(folder, name, ['--role', 'replica', '--secretfile', secretFileOf(folder), '--configfile', configFileOf(folder, name)]))
  }
}

export const configFileOf = (folder: string, name: string): string => join(folder, `${name}.yml`)
export const secretFileOf = (folder: string): string => join(folder, 'primary', '.secret')
export const followText = (url: string): string => `devpi-server:\n  primary-url: ${url}\n`

async function startNode(folder: string, name: string, options: readonly string[]): Promise<LabNode> {
  const serverDir = join(folder, name)
  const child = await startChild(serverDir, options)
  const logFile = join(folder, `${name}.log`)
  child.process.stderr?.pipe(createWriteStream(logFile))
  return {
    name,
    url: child.url,
    serverDir,
    logFile,
    pid: child.process.pid ?? 0,
    seen: undefined,
    counts: { writes: 0, reads: 0, errors: 0 },
    [Symbol.asyncDispose]: () => end(child),
  }
}

/** Also one that was made to hang, and one that does not end by itself. */
async function end(child: ChildServer): Promise<void> {
  child.process.kill('SIGCONT')
  const late = setTimeout(() => child.process.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await child[Symbol.asyncDispose]()
  clearTimeout(late)
}

/** Asks all of them, and keeps in `seen` what they say. */
export async function look(nodes: readonly LabNode[]): Promise<void> {
  await Promise.all(nodes.map(async (node) => { node.seen = await seenAt(node.url) }))
}

async function seenAt(url: string): Promise<Seen | undefined> {
  try {
    const reply = await fetch(`${url}/+status`, { headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(STATUS_TIMEOUT_MS) })
    return ((await reply.json()) as { result?: StatusJson }).result
  } catch {
    return undefined
  }
}

/** Where entries are made: of several, that of the highest epoch. */
export function primaryOf(nodes: readonly LabNode[]): LabNode | undefined {
  const candidates = nodes.filter(({ seen }) => seen?.role === 'MASTER' && seen.fenced === undefined)
  return candidates.sort((one, other) => (other.seen?.epoch ?? 0) - (one.seen?.epoch ?? 0))[0]
}
