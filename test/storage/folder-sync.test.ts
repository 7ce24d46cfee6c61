import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FolderSync } from '#server/storage/folder-sync.js'
import { tempFolder } from './temp-storage.js'

test('a folder that could not be opened is tried again the next time', async () => {
  await using folder = await tempFolder()
  const path = join(folder.path, 'later')
  await using sync = new FolderSync(path)
  await expect(sync.sync()).rejects.toMatchObject({ code: 'ENOENT' })
  await mkdir(path)
  await sync.sync()
})
