import { findInTarGz } from '#server/packaging/tar-archive.js'
import { openBytes } from '#server/storage/open-blob.js'
import { noise } from '#test/support/archives.js'
import { tarGz, type TarEntry } from '#test/support/tar-builder.js'

const WANTED: TarEntry = { name: 'wanted', bytes: Buffer.from('here') }
const MEGABYTE = 1024 * 1024

async function find(entries: TarEntry[], maxInflatedBytes: number): Promise<Buffer | undefined> {
  return await findInTarGz(openBytes(tarGz(entries)), (name) => name === 'wanted', { limitBytes: 100, maxInflatedBytes })
}

describe('an archive that unpacks to more than is searched', () => {
  test('is read as far as the wanted file', async () => {
    expect(await find([WANTED, { name: 'big', bytes: noise(2 * MEGABYTE) }], MEGABYTE)).toEqual(WANTED.bytes)
  })

  test('has no wanted file if its size is honest', async () => {
    expect(await find([{ name: 'big', bytes: noise(2 * MEGABYTE) }, WANTED], MEGABYTE)).toBeUndefined()
  })

  test('is refused if it is a bomb', async () => {
    await expect(find([{ name: 'zeros', bytes: Buffer.alloc(40 * MEGABYTE) }, WANTED], 20 * MEGABYTE)).rejects.toThrow('unpacks to far too many bytes')
  })

  test('is read to its end if it just fits', async () => {
    expect(await find([{ name: 'zeros', bytes: Buffer.alloc(19 * MEGABYTE) }, WANTED], 20 * MEGABYTE)).toEqual(WANTED.bytes)
  })
})
