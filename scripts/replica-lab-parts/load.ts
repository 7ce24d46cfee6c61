import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Refusal } from '#log-format/api/refusal.js'
import { wheel } from '#test/support/archives.js'
import { uploadForm } from '#test/support/upload-form.js'
import { type LabNode, primaryOf } from './nodes.js'

export interface LoadOptions {
  readonly nodes: readonly LabNode[]
  readonly uploaders: number
  readonly readers: number
  /** Nothing is sent after it. */
  readonly stop: AbortSignal
}

const USER = 'lab'
const PASSWORD = 'lab-password'
const INDEX = `/${USER}/dev`
const PROJECTS = 40
const UPLOAD_PAUSE_MS = 100
const READ_PAUSE_MS = 25
const REPLY_TIMEOUT_MS = 5000
/** Files that are read again and again. */
const MOST_FILES = 200

/** A user with an index, for the load and for people who want to join it. Resolves to their upload header. */
export async function signUp(url: string): Promise<string> {
  const send = async (path: string, method: string, body: object, headers: Record<string, string> = {}): Promise<unknown> => {
    const reply = await fetch(url + path, { method, body: JSON.stringify(body), headers })
    if (!reply.ok) throw new Refusal('invalid', `the server of the lab answers ${method} ${path} with ${reply.status}: ${await reply.text()}`)
    return reply.json()
  }
  await send(`/${USER}`, 'PUT', { password: PASSWORD })
  const { result } = (await send('/+login', 'POST', { user: USER, password: PASSWORD })) as { result: { password: string } }
  const auth = Buffer.from(`${USER}:${result.password}`).toString('base64')
  await send(INDEX, 'PUT', {}, { 'X-Devpi-Auth': auth })
  return auth
}

export const LOAD_LOGIN = { user: USER, password: PASSWORD, index: `${USER}/dev` } as const

/** Uploads to whoever is the primary, and reads of every node in turn, until it is stopped. Counts at the nodes what they answer. */
export async function runLoad(auth: string, { nodes, uploaders, readers, stop }: LoadOptions): Promise<void> {
  const files: string[] = []
  const workers = [
    ...Array.from({ length: uploaders }, (_, at) => keepUploading(auth, at, { nodes, files, stop })),
    ...Array.from({ length: readers }, (_, at) => keepReading(at, { nodes, files, stop })),
  ]
  await Promise.all(workers)
}

interface Work {
  readonly nodes: readonly LabNode[]
  /** Paths of acknowledged uploads. */
  readonly files: string[]
  readonly stop: AbortSignal
}

/** While nobody is the primary nothing is sent, and nothing counted. */
async function keepUploading(auth: string, uploader: number, { nodes, files, stop }: Work): Promise<void> {
  for (let round = 0; !stop.aborted; round += 1) {
    await pause(UPLOAD_PAUSE_MS, stop)
    const node = primaryOf(nodes)
    if (node === undefined || stop.aborted) continue
    const file = wheel(`lab-${(uploader + round) % PROJECTS}`, `1.${uploader}.${round}`)
    const isStored = await isAnswered(`${node.url}${INDEX}/`, { method: 'POST', body: uploadForm(file), headers: { 'X-Devpi-Auth': auth } })
    node.counts[isStored ? 'writes' : 'errors'] += 1
    if (!isStored) continue
    const sha256 = createHash('sha256').update(file.bytes).digest('hex')
    files.push(`${INDEX}/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${file.filename}`)
    if (files.length > MOST_FILES) files.splice(0, MOST_FILES / 2)
  }
}

/** A page, then a file, as an installer. A file may not be everywhere yet, nor for ever after a promotion: 404 is an answer, too. */
async function keepReading(reader: number, { nodes, files, stop }: Work): Promise<void> {
  for (let round = reader; !stop.aborted; round += 1) {
    await pause(READ_PAUSE_MS, stop)
    const node = nodes[round % nodes.length]
    if (node?.seen === undefined || stop.aborted) continue
    const file = files[(round * 31) % Math.max(files.length, 1)]
    const path = round % 2 === 0 || file === undefined ? `${INDEX}/+simple/lab-${round % PROJECTS}/` : file
    node.counts[await isAnswered(node.url + path, {}, [404]) ? 'reads' : 'errors'] += 1
  }
}

async function isAnswered(url: string, init: RequestInit, others: readonly number[] = []): Promise<boolean> {
  try {
    const reply = await fetch(url, { ...init, signal: AbortSignal.timeout(REPLY_TIMEOUT_MS) })
    await reply.arrayBuffer()
    return reply.ok || others.includes(reply.status)
  } catch {
    return false
  }
}

/** Ends early when the load is stopped. */
async function pause(ms: number, stop: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal: stop }).catch(() => undefined)
}
