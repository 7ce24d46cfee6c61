import { createHash } from 'node:crypto'
import type { Exchange } from './recording.js'

export interface Reply {
  readonly status: number
  readonly location: string | undefined
  readonly body: Buffer
}

/** Something in which a reply is not the recorded one. `at` is `status`, `location`, `body` or the path of a field. */
export interface Difference {
  readonly at: string
  readonly recorded: string
  readonly ours: string
}

/** Times, ids and folders: different in any two runs of the reference itself (`golden/README.md`). */
const INCOMPARABLE = new Set([
  'created', 'modified', 'last_modified', 'when', 'uuid', 'serverdir', 'server-code', 'host', 'port', 'versioninfo',
  'last-commit-timestamp', 'event-serial-timestamp', 'event-serial-in-sync-at',
])

export function compareReplies(exchange: Exchange, reply: Reply): Difference[] {
  const found: Difference[] = []
  const note = (at: string, recorded: unknown, ours: unknown): void => {
    found.push({ at, recorded: shorten(recorded), ours: shorten(ours) })
  }
  if (reply.status !== exchange.status) {
    note('status', exchange.status, reply.status)
    return found // bodies of different outcomes have nothing to compare
  }
  const location = exchange.headers['Location']
  if (location !== reply.location) note('location', location, reply.location)
  if (exchange.body_sha256 !== undefined) {
    const sha256 = createHash('sha256').update(reply.body).digest('hex')
    if (sha256 !== exchange.body_sha256) note('body', exchange.body_sha256, sha256)
    return found
  }
  compareBodies(exchange, reply.body.toString(), note)
  return found
}

type Note = (at: string, recorded: unknown, ours: unknown) => void

function compareBodies(exchange: Exchange, ours: string, note: Note): void {
  const recorded = exchange.body ?? ''
  const json = parse(recorded)
  if (json !== undefined) {
    const found = parse(ours)
    if (found === undefined) note('body', json, ours)
    else compareValues(json, found, '', note)
  } else if (exchange.status === 200 && recorded.includes('<')) {
    compareLinks(linksOf(recorded), linksOf(ours), note)
  } else if (exchange.status === 200 && recorded.trim() !== ours.trim()) {
    note('body', recorded, ours)
  }
}

function compareValues(recorded: unknown, ours: unknown, at: string, note: Note): void {
  if (INCOMPARABLE.has(at.slice(at.lastIndexOf('/') + 1))) return
  if (isObject(recorded) && isObject(ours)) {
    for (const key of new Set([...Object.keys(recorded), ...Object.keys(ours)])) {
      compareValues(recorded[key], ours[key], `${at}/${key}`, note)
    }
  } else if (Array.isArray(recorded) && Array.isArray(ours) && recorded.length === ours.length) {
    recorded.forEach((value, index) => { compareValues(value, ours[index], `${at}/${index}`, note) })
  } else if (normal(recorded) !== normal(ours)) {
    note(at, recorded, ours)
  }
}

/** Links in any order: that of the reference is not specified. */
function compareLinks(recorded: readonly string[], ours: readonly string[], note: Note): void {
  const a = [...recorded].sort()
  const b = [...ours].sort()
  if (a.length !== b.length) note('links', a, b)
  else a.forEach((link, index) => { if (link !== b[index]) note('links', link, b[index]) })
}

/** `href`, attributes and text of each link. */
function linksOf(page: string): string[] {
  return [...page.matchAll(/<a ([^>]*)>([^<]*)<\/a>/g)].map(([, attributes = '', text = '']) => `${attributes} ${text}`)
}

/** As text, without the time in the name of a tox result. */
function normal(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').replace(/toxresult-\d{14}-/g, 'toxresult-TIME-')
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function shorten(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined')
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}
