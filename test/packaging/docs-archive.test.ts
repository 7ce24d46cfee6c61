import fc from 'fast-check'
import { Refusal } from '#log-format/api/refusal.js'
import { checkDocsArchive, docsPathOf, hasDocsList } from '#server/packaging/docs-archive.js'
import { openBytes } from '#server/storage/open-blob.js'
import { noise, sdist } from '#test/support/archives.js'
import { zip, type ZipEntry, type ZipOptions } from '#test/support/zip-builder.js'

const LARGE = noise(2_500_000)
const MEGABYTE = 1024 * 1024
const INDEX: ZipEntry = { name: 'index.html', bytes: Buffer.from('<h1>demo</h1>') }
const EMPTY = Buffer.alloc(0)

function named(...names: string[]): ZipEntry[] {
  return names.map((name) => ({ name, bytes: Buffer.from(name) }))
}

function many(count: number): ZipEntry[] {
  return Array.from({ length: count }, (_, at) => ({ name: `page-${at}.html`, bytes: EMPTY, stored: true }))
}

async function refusalOf(bytes: Uint8Array): Promise<Refusal | undefined> {
  return await checkDocsArchive(openBytes(bytes)).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof Refusal) return error
      throw error
    },
  )
}

test.each<[string, ZipEntry[], ZipOptions]>([
  ['one page', [INDEX], {}],
  ['no page at the top', named('html/index.html'), {}],
  ['folders with and without an entry', [INDEX, { name: 'api/', bytes: EMPTY, unixMode: 0o040755 }, ...named('api/a.html', 'img/b/c.png')], {}],
  ['names from the folder itself', named('./index.html', './api/a.html'), {}],
  ['two files whose names differ in case', named('index.html', 'api/Foo.html', 'api/foo.html'), {}],
  ['names that mean something to scripts', named('index.html', '__proto__', 'constructor', 'std:domain.html', 'a..b/...', 'ä.html'), {}],
  ['modes of a tool that knows none', [{ ...INDEX, unixMode: 0 }], {}],
  ['modes without a type', [{ ...INDEX, unixMode: 0o644 }], {}],
  ['written to a pipe', [{ ...INDEX, streamed: true }, { name: 'b', bytes: noise(3000), streamed: true }], {}],
  ['64-bit records', [INDEX, { name: 'b', bytes: noise(9), zip64Extra: true }], { zip64: true }],
  ['text that packs well', [INDEX, { name: 'words.txt', bytes: Buffer.from('some words, '.repeat(100_000).concat(noise(9000).toString('hex'))) }], {}],
  ['large files', [INDEX, { name: 'a', bytes: LARGE }, { name: 'b', bytes: LARGE, stored: true }], {}],
  ['a megabyte of zeros', [INDEX, { name: 'zeros', bytes: Buffer.alloc(MEGABYTE) }], {}],
  ['as many files as are allowed', many(50_000), {}],
])('%s: documentation', async (_, entries, options) => {
  const bytes = zip(entries, options)
  expect(await refusalOf(bytes)).toBeUndefined()
  expect(await hasDocsList(openBytes(bytes))).toBe(true)
})

test.each<[string, Uint8Array, 'invalid' | 'too-large', RegExp]>([
  ['nothing', EMPTY, 'invalid', /is not a zip archive/],
  ['noise', noise(3000), 'invalid', /is not a zip archive/],
  ['an sdist', sdist('demo', '1.0').bytes, 'invalid', /is not a zip archive/],
  ['a zip cut short', zip([INDEX]).subarray(0, -3), 'invalid', /something behind its end/],
  ['no files', zip([]), 'invalid', /is an empty zip/],
  ['70,000 files', zip(many(70_000), { zip64: true }), 'too-large', /^the documentation has more than 50000 files$/],
  ['one file too many', zip(many(50_001)), 'too-large', /more than 50000 files/],
  ['a billion declared files', zip([INDEX], { zip64: true, entries: 1e9 }), 'too-large', /more than 50000 files/],
  ['traversal', zip(named('../../etc/passwd')), 'invalid', /unsafe name "\.\.\/\.\.\/etc\/passwd"/],
  ['traversal inside', zip(named('a/../../x')), 'invalid', /unsafe name/],
  ['traversal with backslashes', zip(named('..\\x')), 'invalid', /unsafe name/],
  ['an absolute name', zip(named('/etc/passwd')), 'invalid', /unsafe name/],
  ['a drive', zip(named('C:/x')), 'invalid', /unsafe name/],
  ['a zero byte', zip(named('index.html\0.png')), 'invalid', /unsafe name/],
  ['a line break', zip(named('a\nb')), 'invalid', /unsafe name/],
  ['no name', zip(named('')), 'invalid', /unsafe name/],
  ['a symbolic link', zip([{ name: 'a', bytes: Buffer.from('/etc/passwd'), unixMode: 0o120777 }]), 'invalid', /^the documentation has "a", which is a link or a device/],
  ['a device', zip([{ name: 'a', bytes: EMPTY, unixMode: 0o020666 }]), 'invalid', /link or a device/],
  ['a pipe', zip([{ name: 'a', bytes: EMPTY, unixMode: 0o010666 }]), 'invalid', /link or a device/],
  ['the same name twice', zip([INDEX, INDEX]), 'invalid', /has "index\.html" more than once/],
  ['the same name in two spellings', zip(named('a/b', './a//b')), 'invalid', /more than once/],
  ['the same name in two Unicode forms', zip(named('\u00e9', 'e\u0301')), 'invalid', /more than once/],
  ['a name in two folders of two Unicode forms', zip(named('\u00e9/a', 'e\u0301/a')), 'invalid', /more than once/],
  ['a file that is a folder too', zip(named('a', 'a/b')), 'invalid', /"a" both as a file and as a folder/],
  ['a folder that is a file too', zip(named('a/b/', 'a/b')), 'invalid', /"a\/b" both as a file and as a folder/],
  ['a bomb', zip([INDEX, { name: 'bomb', bytes: Buffer.alloc(20 * MEGABYTE) }]), 'too-large', /"bomb", which unpacks to more than 200 times/],
  ['a file of 3 GB', zip([{ ...INDEX, size: 3 * 1024 * MEGABYTE }]), 'too-large', /unpacks to more than 2147483648 bytes/],
  ['too much in many files', zip(Array.from({ length: 3000 }, (_, at) => ({ name: `${at}`, bytes: EMPTY, size: MEGABYTE }))), 'too-large', /more than 2147483648 bytes/],
  ['an encrypted file', zip([{ ...INDEX, encrypted: true }]), 'invalid', /has an encrypted index\.html/],
  ['an unknown compression', zip([{ ...INDEX, method: 14 }]), 'invalid', /unknown compression/],
  ['two files in one place', zip([INDEX, { ...named('twin')[0]!, offset: 0 }]), 'invalid', /in the place of another file/],
  ['a file inside another', zip([{ name: 'outer', bytes: zip([INDEX]), stored: true }, { ...INDEX, offset: 35 }]), 'invalid', /in the place of another file/],
  ['a file beyond the end', zip([{ ...INDEX, offset: 10_000 }]), 'invalid', /damaged/],
  ['packed bytes beyond the end', zip([{ ...INDEX, bytes: noise(50), stored: true, compressedSize: 5000 }]), 'invalid', /damaged/],
  ['a wrong checksum', zip([{ ...INDEX, crc: 1 }]), 'invalid', /^the documentation has a damaged index\.html$/],
  ['a small file that is longer than it says', zip([INDEX, { name: 'a', bytes: noise(100), size: 99 }]), 'invalid', /a damaged a$/],
  ['a small file that is shorter than it says', zip([INDEX, { name: 'a', bytes: noise(100), size: 101 }]), 'invalid', /a damaged a$/],
  ['packed bytes that are not packed', zip([INDEX, { name: 'a', bytes: noise(100), stored: true, method: 8 }]), 'invalid', /damaged/],
  ['a large file with a wrong checksum', zip([INDEX, { name: 'a', bytes: LARGE, crc: 1 }]), 'invalid', /a damaged a$/],
  ['a large file with a wrong checksum, not packed', zip([INDEX, { name: 'a', bytes: LARGE, crc: 1, stored: true }]), 'invalid', /a damaged a$/],
  ['a large file that is longer than it says', zip([INDEX, { name: 'a', bytes: LARGE, size: LARGE.length - 1 }]), 'invalid', /a damaged a$/],
  ['a large file that is shorter than it says', zip([INDEX, { name: 'a', bytes: LARGE, size: LARGE.length + 1 }]), 'invalid', /a damaged a$/],
  ['a large file that is not packed', zip([INDEX, { name: 'a', bytes: LARGE, stored: true, method: 8 }]), 'invalid', /damaged/],
  ['another name in the local header', zip([{ ...INDEX, localName: 'INDEX.html' }]), 'invalid', /damaged/],
])('%s: refused', async (_, bytes, kind, sentence) => {
  const refused = await refusalOf(bytes)
  expect(refused).toMatchObject({ kind, message: expect.stringMatching(sentence) })
  expect(refused?.message).toMatch(/^the documentation [^\n]+$/)
})

test('sizes and method of the local header must be those of the list, where it tells them', async () => {
  const good = zip([{ ...INDEX, stored: true }])
  for (const [at, value] of [[8, 8], [18, 1], [22, 1]] as const) {
    const bytes = Buffer.from(good)
    bytes.writeUInt16LE(value, at)
    expect((await refusalOf(bytes))?.message).toMatch(/damaged index\.html/)
  }
})

test('bytes changed anywhere make a refusal or nothing, never a fault', async () => {
  const bytes = zip([INDEX, ...named('a/b.html', 'c'), { name: 'd', bytes: noise(40), zip64Extra: true }], { zip64: true })
  const change = fc.record({ at: fc.nat(bytes.length - 1), value: fc.integer({ min: 0, max: 255 }) })
  await fc.assert(fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
    const changed = Buffer.from(bytes)
    for (const { at, value } of changes) changed[at] = value
    await refusalOf(changed)
  }), { numRuns: 500 })
})

test('a disk that fails is a fault, not a refusal', async () => {
  const failing = { size: 1000, read: () => Promise.reject(Object.assign(new Error('i/o error'), { code: 'EIO' })) }
  await expect(checkDocsArchive(failing)).rejects.toMatchObject({ code: 'EIO' })
  await expect(hasDocsList(failing)).rejects.toMatchObject({ code: 'EIO' })
})

test.each([
  ['a/b.html', 'a/b.html'],
  ['./a/b', 'a/b'],
  ['a//./b', 'a/b'],
  ['.hidden/..a', '.hidden/..a'],
  ['a/.', 'a'],
])('the address of %s is %s', (name, path) => {
  expect(docsPathOf(name)).toBe(path)
})
