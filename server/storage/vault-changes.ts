import { packValue, unpackValue } from '#log-format/codec.js'
import { NO_SERIAL, nextSerial, type Serial } from '#log-format/serial.js'
import type { JsonValue } from '#log-format/values.js'
import type { Database, RowOperation } from './database.js'
import { compareNames } from './name-order.js'
import { cursorRow, metaRow, SECRET_CHANGE_ROWS, SECRET_ROWS, secretChangeRow, secretRow } from './rows.js'
import { secretOperation } from './vault.js'

/** A secret as one node tells it another; undefined: there is none of this name any more. */
export interface SecretRow {
  readonly name: string
  readonly secret: JsonValue | undefined
}

/** Secrets from some serial on. Whoever takes them over has the vault as it was at `serial`, or later. */
export interface SecretsSince {
  readonly serial: Serial
  /** Whether these are all there are, in the byte order of their names: any other is gone. */
  readonly isComplete: boolean
  readonly batches: AsyncIterable<readonly SecretRow[]>
}

/** Up to where a replica took over secrets. */
export const SECRETS_CURSOR = '+secrets'

/** From where on it is noted which secrets an entry changed. */
const NOTED_FROM_ROW = metaRow('secret-changes-from')

/** Says beside an entry which secrets it changed, so that replicas ask for those alone. */
export function secretsChanged(serial: Serial, names: Iterable<string>): RowOperation {
  return { type: 'put', key: secretChangeRow(serial), value: packValue([...names]) }
}

/** To be called on open: entries from before the changes were noted say nothing. */
export async function noteSecretChangesFrom(db: Database, head: Serial): Promise<void> {
  if (db.get(NOTED_FROM_ROW) !== undefined) return
  await db.write([{ type: 'put', key: NOTED_FROM_ROW, value: packValue(head) }], { sync: true })
}

/** Says beside the entry at `serial` that who has secrets of before it has to ask for all. */
export function forgetSecretChanges(serial: Serial): RowOperation {
  return { type: 'put', key: NOTED_FROM_ROW, value: packValue(serial) }
}

/** Secrets that entries behind `since` changed, as they are now; all of them where that is not known. */
export function readSecretsSince(db: Database, head: Serial, since: Serial): SecretsSince {
  const noted = db.get(NOTED_FROM_ROW)
  const notedFrom = noted === undefined ? head : (unpackValue(noted) as Serial)
  const isComplete = since === NO_SERIAL || since < notedFrom || since > head
  return { serial: head, isComplete, batches: isComplete ? allSecrets(db) : changedSecrets(db, since) }
}

async function* allSecrets(db: Database): AsyncGenerator<readonly SecretRow[]> {
  for await (const rows of db.batches(SECRET_ROWS)) {
    yield rows.map(([row, bytes]) => ({ name: row.slice(1), secret: unpackValue(bytes) }))
  }
}

async function* changedSecrets(db: Database, since: Serial): AsyncGenerator<readonly SecretRow[]> {
  const range = { gte: secretChangeRow(nextSerial(since)), lt: SECRET_CHANGE_ROWS.lt }
  for await (const rows of db.batches(range)) {
    const names = new Set(rows.flatMap(([, bytes]) => namesIn(bytes)))
    yield [...names].map((name) => {
      const found = db.get(secretRow(name))
      return { name, secret: found === undefined ? undefined : unpackValue(found) }
    })
  }
}

function changedAt(db: Database, serial: Serial): string[] {
  const noted = db.get(secretChangeRow(serial))
  return noted === undefined ? [] : namesIn(noted)
}

function namesIn(bytes: Uint8Array): string[] {
  const names = unpackValue(bytes)
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
}

/**
 * Takes over secrets of another node. After a crash in the middle some are
 * new and some are old: asking again from the same serial mends it. Throws for
 * names that are not in order where their order says what is gone.
 */
export async function writeSecrets(db: Database, { serial, isComplete, batches }: SecretsSince): Promise<void> {
  const changed: string[] = []
  let last = ''
  for await (const rows of batches) {
    const operations = rows.map(({ name, secret }) => secretOperation(name, secret))
    if (isComplete) {
      for (const { name } of rows) {
        if (compareNames(name, last) <= 0) throw new Error('the secrets of the other node are not in the order of their names')
        operations.push(...(await goneBetween(db, last, name)))
        last = name
      }
    } else {
      changed.push(...rows.map(({ name }) => name))
    }
    await db.write(operations, { sync: false })
  }
  const operations: RowOperation[] = [{ type: 'put', key: cursorRow(SECRETS_CURSOR), value: packValue(serial) }]
  // Whoever follows this node learns of the changes as it did.
  if (isComplete) operations.push(...(await goneBetween(db, last, undefined)), { type: 'put', key: NOTED_FROM_ROW, value: packValue(serial) })
  else if (changed.length > 0) operations.push(secretsChanged(serial, new Set([...changed, ...changedAt(db, serial)])))
  await db.write(operations, { sync: true }) // together with all that was written before it
}

/** Deletes what lies between two names. */
async function goneBetween(db: Database, after: string, before: string | undefined): Promise<RowOperation[]> {
  const operations: RowOperation[] = []
  const range = { gt: secretRow(after), lt: before === undefined ? SECRET_ROWS.lt : secretRow(before) }
  for await (const rows of db.batches(range)) for (const [key] of rows) operations.push({ type: 'del', key })
  return operations
}
