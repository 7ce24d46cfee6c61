import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from './failure.js'
import { isObject, type JsonObject, parseJson } from './json.js'
import { codeOf, isDiskFull, systemReason } from './system-faults.js'

/** Longer than a lock is respected that somebody left behind, so that nobody fails because of one. */
const LOCK_WAIT_MS = 15_000
const LOCK_STALE_MS = 10_000

/** The object in a file; empty for one that is missing, empty, or no object. Nobody's state is worth a crash. */
export async function readState(path: string): Promise<JsonObject> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return {}
    throw new Failure('CONFIG', `cannot read ${path}: ${systemReason(error)}`, { cause: error })
  }
  const value = parseJson(text)
  return isObject(value) ? value : {}
}

/**
 * Reads a file, hands its object to `change` and puts the result in its place
 * at once, so that no reader sees half of it and no other process's change is
 * lost. Writes nothing when nothing differs. Keys sorted, indent 2, as the reference client has it.
 */
export async function changeState(path: string, mode: number, change: (before: JsonObject) => JsonObject): Promise<JsonObject> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    return await withLock(`${path}.lock`, async () => {
      const before = await readState(path)
      const after = change(before)
      const text = JSON.stringify(after, sortedKeys, 2)
      if (text === JSON.stringify(before, sortedKeys, 2)) return after
      if (Object.keys(before).length === 0) await keepDamaged(path)
      await replaceFile(path, text, mode)
      return after
    })
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure('CONFIG', `cannot write ${path}: ${systemReason(error)}`, {
      cause: error,
      hint: isDiskFull(error) ? 'make room, or use --clientdir DIR for a folder on another disk' : 'use --clientdir DIR for a folder that you may write to',
    })
  }
}

/** What counted as empty may be a file that somebody can still mend. */
async function keepDamaged(path: string): Promise<void> {
  if (await isDamaged(path)) await copyFile(path, `${path}.damaged`)
}

/** Whether a file is there that holds something, but no object. */
export async function isDamaged(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text.trim() !== '' && !isObject(parseJson(text))
}

/** Writes a new file beside it and renames: it is the old text or the new one at any moment. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const fresh = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await writeFile(fresh, text, { mode, flag: 'wx', flush: true })
    await rename(fresh, path)
  } catch (error) {
    await rm(fresh, { force: true })
    throw error
  }
}

/** Whoever creates the file has the lock. One that was left behind by a process that died is taken over. */
async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + LOCK_WAIT_MS
  for (;;) {
    try {
      await (await open(path, 'wx', 0o600)).close()
      break
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
      const found = await stat(path).catch(() => undefined)
      if (found !== undefined && Date.now() - found.mtimeMs > LOCK_STALE_MS) await rm(path, { force: true })
      else if (Date.now() > deadline) {
        throw new Failure('CONFIG', `another devpi holds ${path}`, { hint: 'if none is running, remove that file', cause: error })
      }
      await sleep(15)
    }
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}
