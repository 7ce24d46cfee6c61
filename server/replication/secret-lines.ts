import { NO_SERIAL, toSerial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'
import type { SecretRow, SecretsSince } from '#server/storage/vault-changes.js'

/** Longer lines are no secret's: a verifier has a hundred characters, credentials of an upstream some thousands at most. */
const MOST_LINE_CHARACTERS = 64 * 1024
const ROWS_AT_A_TIME = 256

/**
 * Secrets as lines of JSON: `{"serial", "complete"}`, then `[name, secret]`
 * of each, null for one that is gone, then `{"end": true}`, without which the
 * stream was cut off.
 */
export async function* secretLines({ serial, isComplete, batches }: SecretsSince): AsyncGenerator<string> {
  yield `${JSON.stringify({ serial, complete: isComplete })}\n`
  for await (const rows of batches) {
    yield rows.map(({ name, secret }) => `${JSON.stringify([name, secret ?? null])}\n`).join('')
  }
  yield `${JSON.stringify({ end: true })}\n`
}

/** Reads them. Throws for anything else, then or while the batches are read. */
export async function readSecretLines(bytes: AsyncIterable<Uint8Array>): Promise<SecretsSince> {
  const lines = linesOf(bytes)
  const first = await lines.next()
  const { serial, complete } = objectIn(first.done === true ? '' : first.value)
  if (typeof serial !== 'number' || !Number.isSafeInteger(serial) || serial < NO_SERIAL || typeof complete !== 'boolean') {
    throw new Error('the secrets of the other node begin with no serial')
  }
  return { serial: toSerial(serial), isComplete: complete, batches: rowsIn(lines) }
}

async function* rowsIn(lines: AsyncIterable<string>): AsyncGenerator<readonly SecretRow[]> {
  let rows: SecretRow[] = []
  let hasEnded = false
  for await (const line of lines) {
    if (hasEnded) throw new Error('the secrets of the other node go on behind their end')
    if (line.startsWith('{')) {
      hasEnded = objectIn(line)['end'] === true
      continue
    }
    rows.push(rowIn(line))
    if (rows.length < ROWS_AT_A_TIME) continue
    yield rows
    rows = []
  }
  if (!hasEnded) throw new Error('the secrets of the other node were cut off')
  yield rows
}

function rowIn(line: string): SecretRow {
  const row = parsed(line)
  if (!Array.isArray(row) || row.length !== 2) throw new Error('the other node sent something else than secrets')
  const [name, secret] = row as readonly unknown[]
  if (typeof name !== 'string' || name === '') throw new Error('the other node sent a secret without a name')
  return { name, secret: secret === null ? undefined : (secret as JsonValue) }
}

function objectIn(line: string): { readonly [name: string]: unknown } {
  const value = parsed(line)
  if (typeof value !== 'object' || value === null) throw new Error('the other node sent something else than secrets')
  return { ...value }
}

/** Says nothing of the line: it may be a secret. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw new Error('the other node sent something else than secrets')
  }
}

async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  for await (const chunk of bytes) {
    const pieces = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = pieces.pop() ?? ''
    if (rest.length > MOST_LINE_CHARACTERS) throw new Error('the other node sent a line too long for a secret')
    yield* pieces
  }
  if (rest !== '') throw new Error('the secrets of the other node were cut off')
}
