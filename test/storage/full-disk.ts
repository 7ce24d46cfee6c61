import { existsSync } from 'node:fs'
import { readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '#server/storage/database.js'

/** A disk on which nothing fits: what is written there fails as on a full one. */
export const FULL = '/dev/full'
export const testOnLinux = existsSync(FULL) ? test : test.skip

/** Has the database write ahead into a full disk until it begins another file, which is in the folder again. */
export async function fillDisk(db: Database, folder: string): Promise<void> {
  const newest = Math.max(...(await readdir(folder)).map((name) => Number(/\d+/.exec(name)?.[0] ?? 0)))
  await symlink(FULL, join(folder, `${String(newest + 1).padStart(6, '0')}.log`))
  await db.flush()
}
