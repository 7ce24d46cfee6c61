import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { Refusal } from '#log-format/api/refusal.js'
import { readCoreMetadata, type ArchivedMetadata } from '#server/packaging/dist-archive.js'
import { openBytes } from '#server/storage/open-blob.js'
import { metadataText, noise, sdist, wheel } from '#test/support/archives.js'
import { tar, tarGz, type TarEntry } from '#test/support/tar-builder.js'
import { zip, type ZipEntry, type ZipOptions } from '#test/support/zip-builder.js'

const TEXT = metadataText('demo', '1.0')
const METADATA: ZipEntry = { name: 'demo-1.0.dist-info/METADATA', bytes: Buffer.from(TEXT) }
const MODULE: ZipEntry = { name: 'demo.py', bytes: noise(2000) }
const MEGABYTE = 1024 * 1024
const WHEEL = 'demo-1.0-py3-none-any.whl'
const SDIST = 'demo-1.0.tar.gz'

async function read(filename: string, bytes: Uint8Array): Promise<ArchivedMetadata> {
  return await readCoreMetadata(openBytes(bytes), filename)
}

async function refusal(filename: string, bytes: Uint8Array): Promise<string> {
  const error = await read(filename, bytes).then((result) => result.kind, (reason: unknown) => reason)
  if (!(error instanceof Refusal)) throw new Error(`not refused: ${String(error)}`)
  expect(error).toMatchObject({ kind: 'invalid', form: 'reason' })
  return error.message
}

describe('wheels', () => {
  test('METADATA is found byte for byte', async () => {
    const metadata = { 'Requires-Python': '>=3.8', Classifier: ['A', 'B'] }
    const { filename, bytes } = wheel('De.mo', '1.0', { metadata, padding: 20_000 })
    expect(filename).toBe('de_mo-1.0-py3-none-any.whl')
    const found = await read(filename, bytes)
    expect(found).toMatchObject({ kind: 'found', metadata: { name: 'De.mo', version: '1.0' } })
    expect(found.kind === 'found' && Buffer.from(found.bytes).toString()).toBe(metadataText('De.mo', '1.0', metadata))
  })

  test.each<[string, ZipEntry[], ZipOptions]>([
    ['stored', [{ ...METADATA, stored: true }], {}],
    ['64-bit end records', [MODULE, METADATA], { zip64: true }],
    ['a comment', [MODULE, METADATA], { comment: 'made by hand' }],
    ['a long comment', [METADATA], { comment: 'x'.repeat(60_000) }],
    ['a METADATA of 5 MB', [{ ...METADATA, bytes: Buffer.from(`${TEXT}\n`.padEnd(5 * MEGABYTE, 'x')) }], {}],
    ['another METADATA further down', [{ ...METADATA, name: 'demo/x.dist-info/METADATA' }, METADATA], {}],
    ['60,000 files', [...manyFiles(60_000), METADATA], {}],
    ['sizes and offset in a 64-bit extra field', [MODULE, { ...METADATA, zip64Extra: true }], {}],
  ])('%s', async (_, entries, options) => {
    expect(await read(WHEEL, zip(entries, options))).toMatchObject({ kind: 'found', metadata: { name: 'demo', version: '1.0' } })
  })

  test.each<[string, Uint8Array, string]>([
    ['an empty file', Buffer.alloc(0), 'is not a zip archive, or is truncated'],
    ['noise', noise(3000), 'is not a zip archive, or is truncated'],
    ['an sdist', sdist('demo', '1.0').bytes, 'is not a zip archive, or is truncated'],
    ['no entries', zip([]), 'is an empty zip'],
    ['no METADATA', zip([MODULE, { ...MODULE, name: 'demo-1.0.dist-info/WHEEL' }]), 'has no .dist-info/METADATA'],
    ['METADATA in the wrong place', zip([{ ...METADATA, name: 'METADATA' }]), 'has no .dist-info/METADATA'],
    ['two .dist-info folders', zip([METADATA, { ...METADATA, name: 'other-1.0.dist-info/METADATA' }]), 'more than one .dist-info'],
    ['METADATA twice', zip([METADATA, METADATA]), 'has its METADATA more than once'],
    ['no Name in METADATA', wheel('demo', '1.0', { metadataText: 'Version: 1.0\n' }).bytes, 'the core metadata has no Name'],
    ['encrypted', zip([{ ...METADATA, encrypted: true }]), 'has an encrypted'],
    ['unknown compression', zip([{ ...METADATA, method: 99 }]), 'in an unknown compression'],
    ['a wrong CRC', zip([{ ...METADATA, crc: 1 }]), 'has a damaged'],
    ['a wrong size', zip([{ ...METADATA, size: 3 }]), 'has a damaged'],
    ['deflate of noise', zip([{ ...METADATA, bytes: noise(500), stored: true, method: 8 }]), 'has a damaged'],
    ['another name in the local header', zip([{ ...METADATA, localName: 'demo-1.0.dist-info/metadata' }]), 'has a damaged'],
    ['a declared size of 4 GB', zip([{ ...METADATA, size: 0xfffffff0 }]), 'of more than'],
    ['a declared packed size of 4 GB', zip([{ ...METADATA, compressedSize: 0xfffffff0 }]), 'of more than'],
    ['a packed size beyond the end', zip([{ ...METADATA, compressedSize: 4 * MEGABYTE }]), 'is truncated'],
    ['METADATA of 10 MB', zip([{ ...METADATA, bytes: Buffer.alloc(10 * MEGABYTE, 'x') }]), 'of more than'],
    ['METADATA of 10 MB that says 100', zip([{ ...METADATA, bytes: Buffer.alloc(10 * MEGABYTE, 'x'), size: 100 }]), 'has a damaged'],
    ['200,000 declared entries', zip([METADATA], { zip64: true, entries: 200_000 }), 'more than 100000 files'],
    ['too many entries declared', zip([METADATA], { entries: 2 }), 'shorter or longer than it claims'],
    ['too few entries declared', zip([MODULE, METADATA], { entries: 1 }), 'shorter or longer than it claims'],
    ['a directory of 4 GB', zip([METADATA], { directorySize: 0xfffffffe }), 'is misplaced'],
    ['a directory beyond the end', zip([METADATA], { directoryOffset: 0xfffffff }), 'is misplaced'],
    ['a 64-bit directory beyond 2^53', zip([METADATA], { zip64: true, directoryOffset: 2 ** 60 }), 'is misplaced'],
    ['a directory that is none', zip([METADATA], { directoryOffset: 0, directorySize: zip([METADATA]).length - 22 }), 'damaged list'],
    ['bytes before the archive', Buffer.concat([noise(10), zip([METADATA])]), 'is misplaced'],
    ['bytes behind the archive', Buffer.concat([zip([METADATA]), noise(10)]), 'something behind its end'],
    ['two archives in a row', zip([METADATA], { comment: zip([MODULE]).toString('latin1') }), ''],
    ['64-bit records in the comment', zip([METADATA], { zip64: true, comment: 'PK\x06\x06' }), 'with two ends'],
    ...['../x', '/etc/x', 'a/../../x', 'C:\\x', 'a\\b', 'c:/x', 'a\0b', 'a/..', 'x\ny'].map(
      (name): [string, Uint8Array, string] => [`a file ${JSON.stringify(name)}`, zip([METADATA, { ...MODULE, name }]), 'unsafe name']),
  ])('refuses %s', async (_, bytes, message) => {
    const said = await refusal(WHEEL, bytes)
    expect(said).toContain(message)
    expect(said).toMatch(/^'demo-1\.0-py3-none-any\.whl'[ :]/)
  })

  test('the longest name and extra field there can be', async () => {
    const long = { ...MODULE, name: 'x'.repeat(0xffff), extra: Buffer.alloc(0xffff) }
    expect(await read(WHEEL, zip([long, long, METADATA]))).toMatchObject({ kind: 'found' })
  })

  test('refuses an extra field that ends in the middle', async () => {
    const extra = Buffer.from('010018000000', 'hex')
    expect(await refusal(WHEEL, zip([{ ...METADATA, size: 0xffffffff, extra }]))).toContain('damaged list')
  })

  test('refuses a 64-bit size in an extra field', async () => {
    const extra = Buffer.from('0100080000000000000000ff', 'hex')
    expect(await refusal(WHEEL, zip([{ ...METADATA, size: 0xffffffff, extra }]))).toContain('of more than')
  })

  test('refuses a wheel cut anywhere', async () => {
    const { filename, bytes } = wheel('demo', '1.0')
    for (let length = 0; length < bytes.length; length += 7) await refusal(filename, bytes.subarray(0, length))
    await refusal(filename, bytes.subarray(0, -1))
  })
})

describe('sdists', () => {
  const PKG_INFO: TarEntry = { name: 'demo-1.0/PKG-INFO', bytes: Buffer.from(TEXT) }
  const SETUP: TarEntry = { name: 'demo-1.0/setup.py', bytes: noise(3000) }

  test.each<[string, string, Uint8Array]>([
    ['as built', SDIST, sdist('demo', '1.0').bytes],
    ['upper-case extension', 'demo-1.0.TAR.GZ', sdist('demo', '1.0').bytes],
    ['.tgz', 'demo-1.0.tgz', sdist('demo', '1.0').bytes],
    ['PKG-INFO last, after much else', SDIST, tarGz([{ ...SETUP, bytes: noise(MEGABYTE) }, PKG_INFO])],
    ['names with ./', SDIST, tarGz([{ name: './', type: '5' }, { ...PKG_INFO, name: './demo-1.0/PKG-INFO' }])],
    ['a PKG-INFO of an egg-info before it', SDIST, tarGz([{ name: 'demo-1.0/demo.egg-info/PKG-INFO', bytes: noise(9) }, PKG_INFO])],
    ['links beside it', SDIST, tarGz([{ name: 'demo-1.0/x', type: '2', linkName: '/etc/passwd' }, { name: 'y', type: '1', linkName: '../../x' }, PKG_INFO])],
    ['.zip', 'demo-1.0.zip', zip([{ name: 'demo-1.0/setup.py', bytes: noise(9) }, { name: 'demo-1.0/PKG-INFO', bytes: Buffer.from(TEXT) }])],
    ['.egg', 'demo-1.0-py3.8.egg', zip([{ name: 'EGG-INFO/PKG-INFO', bytes: Buffer.from(TEXT) }])],
  ])('found: %s', async (_, filename, bytes) => {
    expect(await read(filename, bytes)).toMatchObject({ kind: 'found', bytes: Buffer.from(TEXT), metadata: { name: 'demo', version: '1.0' } })
  })

  test.each<[string, string, Uint8Array]>([
    ['old sdist', SDIST, tarGz([SETUP])],
    ['old zip', 'demo-1.0.zip', zip([MODULE])],
    ['old egg', 'demo-1.0-py2.7.egg', zip([MODULE])],
    ['PKG-INFO not below the top folder', SDIST, tarGz([{ ...PKG_INFO, name: 'PKG-INFO' }, { ...PKG_INFO, name: 'a/b/PKG-INFO' }])],
    ['.tar.bz2', 'demo-1.0.tar.bz2', Buffer.from('BZh91AY&SY')],
    ['.exe', 'demo-1.0.win32.exe', Buffer.from('MZ and so on')],
    ['.deb', 'demo-1.0.deb', Buffer.from('!<arch>\ndebian')],
    ['.rpm', 'demo-1.0.rpm', Buffer.from('edabeedb0300', 'hex')],
    ['.msi', 'demo-1.0.msi', Buffer.from('d0cf11e0a1b1', 'hex')],
    ['.dmg', 'demo-1.0.dmg', noise(10)],
  ])('absent: %s', async (_, filename, bytes) => {
    expect(await read(filename, bytes)).toEqual({ kind: 'absent' })
  })

  test.each<[string, string, Uint8Array, string]>([
    ['an empty file', SDIST, Buffer.alloc(0), ''],
    ['noise', SDIST, noise(3000), 'is not a gzip archive, or is damaged'],
    ['an unpacked tar', SDIST, tar([PKG_INFO]), 'is not a gzip archive, or is damaged'],
    ['a wheel', SDIST, wheel('demo', '1.0').bytes, 'is not a gzip archive, or is damaged'],
    ['gzip of nothing', SDIST, gzipSync(''), 'holds no files'],
    ['gzip of noise', SDIST, gzipSync(noise(3000)), 'is not a tar archive, or is truncated'],
    ['gzip of a few bytes', SDIST, gzipSync('x'), 'is not a tar archive, or is truncated'],
    ['no files', SDIST, tarGz([]), 'holds no files'],
    ['a tar cut inside', SDIST, gzipSync(tar([SETUP, PKG_INFO]).subarray(0, 1500)), 'is not a tar archive, or is truncated'],
    ['PKG-INFO cut', SDIST, gzipSync(tar([PKG_INFO]).subarray(0, 530)), 'is not a tar archive, or is truncated'],
    ['PKG-INFO of 6 MB', SDIST, tarGz([{ ...PKG_INFO, bytes: Buffer.alloc(6 * MEGABYTE) }]), 'of more than 5242880 bytes'],
    ['PKG-INFO said to have 8 GB', SDIST, tarGz([{ ...PKG_INFO, size: 8 * 1024 * MEGABYTE - 1 }]), 'of more than 5242880 bytes'],
    ['PKG-INFO that is a link', SDIST, tarGz([{ name: 'demo-1.0/PKG-INFO', type: '2', linkName: '/etc/passwd' }]), 'not a regular file'],
    ['PKG-INFO that is a folder', SDIST, tarGz([{ name: 'demo-1.0/PKG-INFO', type: '5' }]), 'not a regular file'],
    ['PAX records of 5 MB', SDIST, tarGz([{ name: 'x', type: 'x', bytes: Buffer.alloc(5 * MEGABYTE, 'x') }, PKG_INFO]), 'is not a tar archive'],
    ['PKG-INFO without version', SDIST, sdist('demo', '1.0', { metadataText: 'Name: demo\n' }).bytes, 'has no Version'],
    ['zip with two PKG-INFO', 'd-1.zip', zip(['a', 'b'].map((top) => ({ name: `${top}/PKG-INFO`, bytes: Buffer.from(TEXT) }))), 'PKG-INFO more than once'],
    ['noise as zip', 'd-1.zip', noise(100), 'is not a zip archive'],
    ['noise as egg', 'd-1.egg', noise(100), 'is not a zip archive'],
    ['noise as bzip2', 'd-1.tar.bz2', noise(100), 'is not a bzip2 archive'],
    ['nothing as rpm', 'd-1.rpm', Buffer.alloc(0), 'is not an RPM package'],
  ])('refuses %s', async (_, filename, bytes, message) => {
    expect(await refusal(filename, bytes)).toContain(message)
  })

  test('refuses an sdist cut anywhere before the end of its PKG-INFO', async () => {
    const bytes = tarGz([SETUP, PKG_INFO])
    for (let length = 0; length < 3000; length += 211) await refusal(SDIST, bytes.subarray(0, length))
  })
})

test('random bytes are refused, whatever they are called', async () => {
  const magic = fc.constantFrom('', 'PK\x03\x04', 'PK\x05\x06', '\x1f\x8b\x08', '\x1f\x8b\x08\0\0\0\0\0\0\x03')
  const name = fc.constantFrom(WHEEL, SDIST, 'd.zip', 'd.egg', 'd.tgz')
  await fc.assert(fc.asyncProperty(name, magic, fc.uint8Array({ maxLength: 300 }), async (filename, start, rest) => {
    await refusal(filename, Buffer.concat([Buffer.from(start, 'latin1'), rest]))
  }), { numRuns: 150 })
})

test('a wheel with changed bytes is read or refused, and a changed METADATA never believed', async () => {
  const { filename, bytes } = wheel('demo', '1.0')
  const change = fc.record({ at: fc.nat(bytes.length - 1), value: fc.integer({ min: 0, max: 255 }) })
  await fc.assert(fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
    const changed = Buffer.from(bytes)
    for (const { at, value } of changes) changed[at] = value
    const result = await read(filename, changed).catch((error: unknown) => error)
    if (!(result instanceof Refusal)) expect(result).toMatchObject({ kind: 'found', bytes: Buffer.from(TEXT) })
  }), { numRuns: 200 })
})

test('a disk that fails is a fault, not a refusal', async () => {
  const failing = { size: 1000, read: () => Promise.reject(Object.assign(new Error('i/o error'), { code: 'EIO' })) }
  for (const filename of [WHEEL, SDIST]) {
    await expect(readCoreMetadata(failing, filename)).rejects.toMatchObject({ code: 'EIO' })
  }
})

test('an abort stops the reading', async () => {
  const source = openBytes(sdist('demo', '1.0', { padding: MEGABYTE }).bytes)
  const controller = new AbortController()
  const reading = readCoreMetadata(source, SDIST, { signal: controller.signal })
  controller.abort()
  await expect(reading).rejects.toMatchObject({ name: 'AbortError' })
  await expect(readCoreMetadata(source, WHEEL, { signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' })
})

function manyFiles(count: number): ZipEntry[] {
  const bytes = Buffer.alloc(0)
  return Array.from({ length: count }, (_, at) => ({ name: `demo/${at}`, bytes, stored: true }))
}
