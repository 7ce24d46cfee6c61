import { mutationText } from '#log-format/mutation-text.js'
import type { LoggedEntry } from './stored-log.js'

const MOST_CHARACTERS = 100

/** An entry for readers: one line of what happened, and one for each key that was set or deleted. */
export function entryText({ entry, digest }: LoggedEntry): string {
  const { serial, time, actor, via, changes } = entry
  const lines = [`${serial} ${new Date(time).toISOString()} ${digest.slice(0, 12)} ${actor} (${via}) ${mutationText(entry.mutation)}`]
  for (const { path, value } of changes) {
    lines.push(value === undefined ? `    - ${path}` : `    + ${path} ${shorten(JSON.stringify(value))}`)
  }
  return `${lines.join('\n')}\n`
}

/** An entry as one line of JSON, with everything that is in it. */
export function entryJson({ entry, digest, bytes }: LoggedEntry): string {
  const parent = Buffer.from(entry.parent).toString('hex')
  return `${JSON.stringify({ ...entry, parent, digest, bytes: bytes.length })}\n`
}

function shorten(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text
}
