import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

import { Refusal } from '#log-format/api/refusal.js'

const MIN_BYTES = 32
const MAX_BYTES = 4096
/** A secret of fewer different bytes was typed, not drawn. */
const MIN_DISTINCT_BYTES = 6

/**
 * The secret that login tokens are signed with: the bytes of the file at
 * `path`, all of them. A missing file is made, readable by its owner only,
 * and is on disk when this resolves. Refuses `invalid` a file that others
 * can read or replace, and content that is too short or plain.
 */
export async function loadSecret(path: string): Promise<Buffer> {
  return (await readSecret(path)) ?? (await createSecret(path))
}

/** Undefined when there is no such file. */
async function readSecret(path: string): Promise<Buffer | undefined> {
  let file: FileHandle
  try {
    // A pipe under this name must not hold up the start: it is opened without waiting and then refused.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    await checkAccess(path, file)
    const secret = await file.readFile()
    if (secret.length < MIN_BYTES || new Set(secret).size < MIN_DISTINCT_BYTES) {
      const advice = 'delete it and a new one is made, which ends all logins'
      throw new Refusal('invalid', `secret file ${path} does not hold ${MIN_BYTES} random bytes: ${advice}`)
    }
    return secret
  } finally {
    await file.close()
  }
}

/** What is checked is the opened file, not the path, which may meanwhile name another. */
async function checkAccess(path: string, file: FileHandle): Promise<void> {
  const { mode, size } = await file.stat()
  if ((mode & constants.S_IFMT) !== constants.S_IFREG) {
    throw new Refusal('invalid', `secret file ${path} is not a regular file`)
  }
  if ((mode & 0o077) !== 0) {
    throw new Refusal('invalid', `secret file ${path} can be accessed by others, run: chmod 600 ${path}`)
  }
  if (size > MAX_BYTES) throw new Refusal('invalid', `secret file ${path} is longer than ${MAX_BYTES} bytes`)
  await checkFolder(path)
}

/** Whoever may write to the folder may put another secret in its place, unless the folder is sticky. */
async function checkFolder(path: string): Promise<void> {
  const folder = dirname(path)
  const { mode } = await stat(folder)
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0) {
    const remedy = `run: chmod go-w ${folder}`
    throw new Refusal('invalid', `folder ${folder} of the secret file can be written by others, ${remedy}`)
  }
}

async function createSecret(path: string): Promise<Buffer> {
  await checkFolder(path)
  const secret = Buffer.from(randomBytes(MIN_BYTES).toString('base64'))
  const file = await open(path, 'wx', 0o600) // exclusive: of two processes that start at once, one fails
  try {
    await file.writeFile(secret)
    await file.sync()
  } finally {
    await file.close()
  }
  await syncFolder(dirname(path))
  return secret
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function errorCode(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}
