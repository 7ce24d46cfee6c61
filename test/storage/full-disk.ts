import { existsSync } from 'node:fs'
import { readdir, rm, symlink } from 'node:fs/promises'
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

/** Has the database write out its rows into a full disk, after which LevelDB refuses all writes; the next files are in the folder again. */
export async function fillDiskBelow(db: Database, folder: string): Promise<void> {
  const newest = Math.max(...(await readdir(folder)).map((name) => Number(/\d+/.exec(name)?.[0] ?? 0)))
  const ahead = Array.from({ length: 4 }, (_, at) => join(folder, `${String(newest + 1 + at).padStart(6, '0')}.ldb`))
  for (const path of ahead) await symlink(FULL, path)
  await db.flush()
  for (const path of ahead) await rm(path, { force: true })
}

/** Has the next write of the database fail although all of it is written, as when a disk fails to sync what it can still read. */
export function failAfterWriting(db: Database): void {
  const write = db.write.bind(db)
  db.write = async (...args) => {
    db.write = write
    await write(...args)
    throw new Error('input/output error')
  }
}
