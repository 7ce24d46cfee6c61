import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { loadSecret } from '#server/auth/secret-file.js'

const GOOD = '0123456789abcdefghijklmnopqrstuvwxyzABCDEF'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'secret-'))
  path = join(folder, 'secret')
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

test('a missing secret is made once, for its owner alone', async () => {
  const secret = await loadSecret(path)

  expect(secret.length).toBeGreaterThanOrEqual(32)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readFile(path)).toEqual(secret)
  expect(await loadSecret(path)).toEqual(secret)
  expect(await loadSecret(join(folder, 'other'))).not.toEqual(secret)
})

test.each([0o600, 0o400])('a secret of mode %o is taken whole, with its line end', async (mode) => {
  await writeFile(path, `${GOOD}\n`)
  await chmod(path, mode)
  expect((await loadSecret(path)).toString()).toBe(`${GOOD}\n`)
})

test('a secret may be linked to, as container platforms do', async () => {
  await writeFile(path, GOOD, { mode: 0o600 })
  await symlink(path, join(folder, 'link'))
  expect((await loadSecret(join(folder, 'link'))).toString()).toBe(GOOD)
})

// spec/server-mirror-replica.md 1.16
test.each([0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])('a secret of mode %o is refused with the way out', async (mode) => {
  await writeFile(path, GOOD)
  await chmod(path, mode)
  await expect(loadSecret(path)).rejects.toMatchObject({ kind: 'invalid', message: expect.stringContaining('chmod 600') })
})

test.each([
  ['nothing', ''],
  ['31 bytes', GOOD.slice(0, 31)],
  ['five different bytes', 'abcde'.repeat(10)],
  ['a whole file', GOOD.repeat(200)],
])('a secret of %s is refused without being shown', async (_what, content) => {
  await writeFile(path, content, { mode: 0o600 })
  const refusal: unknown = await loadSecret(path).catch((error: unknown) => error)
  expect(refusal).toMatchObject({ kind: 'invalid' })
  if (content !== '') expect(String(refusal)).not.toContain(content)
})

test('a folder that others may write to is refused, a sticky one is not', async () => {
  await writeFile(path, GOOD, { mode: 0o600 })
  for (const mode of [0o770, 0o707]) {
    await chmod(folder, mode)
    await expect(loadSecret(path)).rejects.toMatchObject({ message: expect.stringContaining('chmod go-w') })
    await expect(loadSecret(join(folder, 'new'))).rejects.toMatchObject({ kind: 'invalid' })
  }
  await chmod(folder, 0o1777)
  expect((await loadSecret(path)).toString()).toBe(GOOD)
})

test('what is no file is refused, and a missing folder is an error', async () => {
  await mkdir(path, { mode: 0o700 })
  await expect(loadSecret(path)).rejects.toMatchObject({ kind: 'invalid', message: expect.stringContaining('regular') })
  await expect(loadSecret(join(folder, 'none', 'secret'))).rejects.toMatchObject({ code: 'ENOENT' })
})
