import fc from 'fast-check'
import type { SimpleProjectJson } from '#log-format/api/envelope.js'
import { Refusal } from '#log-format/api/refusal.js'
import {
  CLOSE_LIST_JSON,
  CLOSE_PROJECT_JSON,
  JSON_SEPARATOR,
  openListJson,
  openProjectJson,
  renderFileJson,
  renderListJson,
  renderNameJson,
  renderProjectJson,
} from '#server/packaging/simple-json.js'
import { PAGE_LIMITS, parseListJson, parseSimpleJson } from '#server/packaging/simple-json-parser.js'
import type { ProjectPage, SimpleFile } from '#server/packaging/simple-page.js'
import { anyPage, fastest, largePage } from './simple-pages.js'

const plain: SimpleFile = { filename: 'demo-1.0.zip', url: 'demo-1.0.zip', hashes: {} }

test.each<[string, Partial<SimpleFile>, object]>([
  ['PEP 691: name, url and hashes', { hashes: { sha256: 'ab' } }, { hashes: { sha256: 'ab' } }],
  ['PEP 691: a requirement', { requiresPython: '>=3.8' }, { 'requires-python': '>=3.8' }],
  ['no empty requirement', { requiresPython: '' }, {}],
  ['PEP 691: a reason', { yanked: 'a "b"\n' }, { yanked: 'a "b"\n' }],
  ['PEP 691: no reason', { yanked: true }, { yanked: true }],
  ['PEP 691: an empty reason would count as false', { yanked: '' }, { yanked: true }],
  ['PEP 700: size', { size: 0 }, { size: 0 }],
  ['PEP 700: upload time', { uploadTime: 1777885811012 }, { 'upload-time': '2026-05-04T09:10:11.012Z' }],
  ['PEP 714: both names', { coreMetadata: true }, { 'core-metadata': true, 'data-dist-info-metadata': true }],
  [
    'PEP 714: hashes',
    { coreMetadata: { sha256: 'ab' } },
    { 'core-metadata': { sha256: 'ab' }, 'data-dist-info-metadata': { sha256: 'ab' } },
  ],
  ['PEP 714: no hashes', { coreMetadata: {} }, { 'core-metadata': true, 'data-dist-info-metadata': true }],
  ['PEP 740: provenance', { provenance: 'https://x/p' }, { provenance: 'https://x/p' }],
  ['the owner is left out', { owner: 'nina/dev' }, {}],
])('a file: %s', (_, fields, wanted) => {
  const { filename, url, hashes } = plain
  expect(JSON.parse(renderFileJson({ ...plain, ...fields }))).toEqual({ filename, url, hashes, ...wanted })
})

test('a page names its version, the project and all versions', () => {
  const page: ProjectPage = { name: 'demo', versions: ['1.0', '2.0'], files: [plain] }
  const { filename, url, hashes } = plain
  const wanted: SimpleProjectJson = { meta: { 'api-version': '1.4' }, name: 'demo', versions: ['1.0', '2.0'], files: [{ filename, url, hashes }] }
  expect(JSON.parse(String(renderProjectJson(page)))).toEqual(wanted)
})

test('the serial of the upstream and the status of PEP 792 are told where known', () => {
  const page: ProjectPage = { name: 'demo', versions: [], files: [], lastSerial: 0, projectStatus: { status: 'archived', reason: '"' } }
  expect(JSON.parse(String(renderProjectJson(page)))).toEqual({
    meta: { '_last-serial': 0, 'api-version': '1.4' },
    name: 'demo',
    'project-status': { status: 'archived', reason: '"' },
    versions: [],
    files: [],
  })
})

test('a page read back is the page', () => {
  fc.assert(
    fc.property(anyPage, (page) => {
      expect(parseSimpleJson(String(renderProjectJson(page)))).toEqual(page)
    }),
    { numRuns: 200 },
  )
})

test('a page is its pieces', () => {
  fc.assert(
    fc.property(anyPage, (page) => {
      const pieces = openProjectJson(page) + page.files.map(renderFileJson).join(JSON_SEPARATOR) + CLOSE_PROJECT_JSON
      expect(String(renderProjectJson(page))).toBe(pieces)
    }),
    { numRuns: 50 },
  )
})

test('a page of many portions is its pieces too', () => {
  const page = largePage(500)
  const pieces = openProjectJson(page) + page.files.map(renderFileJson).join(JSON_SEPARATOR) + CLOSE_PROJECT_JSON
  expect(String(renderProjectJson(page))).toBe(pieces)
})

test('a list read back is the list', () => {
  const list = { projects: [{ name: 'demo' }, { name: 'iniconfig' }], lastSerial: 7 }
  expect(String(renderListJson(list))).toBe(
    openListJson(7) + renderNameJson('demo') + JSON_SEPARATOR + renderNameJson('iniconfig') + CLOSE_LIST_JSON,
  )
  expect(parseListJson(String(renderListJson(list)))).toEqual(list)
  expect(parseListJson(String(renderListJson({ projects: [] })))).toEqual({ projects: [] })
})

test('names of a list are read in normal form, impossible ones left out', () => {
  const projects = ['Zope.Interface', 'a__b', '../x', '', '-x', 'föö'].map((name) => ({ name }))
  expect(parseListJson(JSON.stringify({ meta: { 'api-version': '1.0' }, projects }))).toEqual({
    projects: [{ name: 'zope-interface' }, { name: 'a-b' }],
  })
})

const meta = { 'api-version': '1.0' }
const minimal = { meta, name: 'demo', files: [] }
const withFile = (fields: object): object => ({ ...minimal, files: [{ ...plain, ...fields }] })

test.each<[string, object, Partial<SimpleFile>]>([
  ['null for absent', { 'requires-python': null, size: null, 'upload-time': null, yanked: null, provenance: null }, {}],
  ['unknown fields', { 'gpg-sig': true, colour: {} }, {}],
  ['PEP 691: not yanked', { yanked: false }, {}],
  ['PEP 691: an empty reason counts as false', { yanked: '' }, {}],
  ['a fragment', { url: 'https://h/demo-1.0.zip#sha256=ab' }, { url: 'https://h/demo-1.0.zip' }],
  ['upper-case digests', { hashes: { SHA256: 'AB' } }, { hashes: { sha256: 'ab' } }],
  ['PEP 658: the older name', { 'dist-info-metadata': { sha256: 'ab' } }, { coreMetadata: { sha256: 'ab' } }],
  ['PEP 714: the newer name wins', { 'core-metadata': false, 'dist-info-metadata': true }, {}],
  ['no hashes of the metadata', { 'core-metadata': {} }, { coreMetadata: true }],
  ['PEP 700: microseconds', { 'upload-time': '2026-05-04T09:10:11.012345Z' }, { uploadTime: 1777885811012 }],
  ['an offset', { 'upload-time': '2026-05-04T11:10:11+02:00' }, { uploadTime: 1777885811000 }],
  ['no zone', { 'upload-time': '2026-05-04T09:10:11' }, { uploadTime: 1777885811000 }],
])('reading a file: %s', (_, fields, wanted) => {
  expect(parseSimpleJson(JSON.stringify(withFile(fields))).files).toEqual([{ ...plain, ...wanted }])
})

test.each<[string, unknown, Partial<ProjectPage>]>([
  ['a page of 1.0 has no versions', minimal, { versions: [] }],
  ['a later minor version', { ...minimal, meta: { 'api-version': '1.99' } }, {}],
  ['another spelling of the name', { ...minimal, name: 'De_Mo' }, { name: 'de-mo' }],
  ['PEP 792: a status', { ...minimal, 'project-status': { status: 'deprecated' } }, { projectStatus: { status: 'deprecated' } }],
  ['PEP 792: a status we do not know', { ...minimal, 'project-status': { status: 'haunted' } }, {}],
  ['a serial', { ...minimal, meta: { ...meta, '_last-serial': 42 } }, { lastSerial: 42 }],
])('reading a page: %s', (_, page, wanted) => {
  expect(parseSimpleJson(JSON.stringify(page))).toEqual({ name: 'demo', files: [], versions: [], ...wanted })
})

test.each<[string, unknown]>([
  ['a list', []],
  ['null', null],
  ['no meta', { name: 'demo', files: [] }],
  ['PEP 629: another major version', { ...minimal, meta: { 'api-version': '2.0' } }],
  ['a version that is a number', { ...minimal, meta: { 'api-version': 1 } }],
  ['no name', { meta, files: [] }],
  ['an impossible name', { ...minimal, name: '../x' }],
  ['no files', { meta, name: 'demo' }],
  ['files by name', { ...minimal, files: {} }],
  ['a file that is text', { ...minimal, files: ['x'] }],
  ['versions that are numbers', { ...minimal, versions: [1] }],
  ['a status that is text', { ...minimal, 'project-status': 'archived' }],
  ['a negative serial', { ...minimal, meta: { ...meta, '_last-serial': -1 } }],
  ['no file name', withFile({ filename: undefined })],
  ['an empty file name', withFile({ filename: '' })],
  ['a file name that is a path', withFile({ filename: 'a/b.zip' })],
  ['a file name that goes up', withFile({ filename: '..' })],
  ['a file name with a control character', withFile({ filename: 'a\u0000.zip' })],
  ['half a surrogate pair', withFile({ filename: 'a\ud800.zip' })],
  ['a long file name', withFile({ filename: 'a'.repeat(PAGE_LIMITS.filename + 1) })],
  ['a script', withFile({ url: 'JavaScript:alert(1)' })],
  ['a local file', withFile({ url: 'file:///etc/passwd' })],
  ['a space in a URL', withFile({ url: 'a b.zip' })],
  ['an empty URL', withFile({ url: '#sha256=ab' })],
  ['no hashes', withFile({ hashes: undefined })],
  ['a digest that is no hex', withFile({ hashes: { sha256: '"><b>' } })],
  ['an odd algorithm', withFile({ hashes: { 'sha 256': 'ab' } })],
  ['a size that is text', withFile({ size: '1' })],
  ['half a byte', withFile({ size: 0.5 })],
  ['a time in words', withFile({ 'upload-time': 'yesterday' })],
  ['a month too many', withFile({ 'upload-time': '2026-13-04T09:10:11Z' })],
  ['yanked as a number', withFile({ yanked: 1 })],
  ['core metadata as text', withFile({ 'core-metadata': 'true' })],
])('refusing a page: %s', (_, page) => {
  expect(refusalOf(() => parseSimpleJson(JSON.stringify(page))).kind).toBe('upstream-failed')
})

test('what is not JSON is refused with its cause', () => {
  const refusal = refusalOf(() => parseSimpleJson('<html>'))
  expect(refusal.message).toBe('the simple page of the upstream is not JSON')
  expect(refusal.cause).toBeDefined()
})

test('reading never fails otherwise', () => {
  fc.assert(
    fc.property(fc.json(), fc.jsonValue(), (text, value) => {
      for (const candidate of [text, JSON.stringify({ ...minimal, files: [value] }), JSON.stringify(withFile(Object(value)))]) {
        try {
          parseSimpleJson(candidate)
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal)
        }
      }
    }),
    { numRuns: 200 },
  )
})

test('ten times as many files take about ten times as long', () => {
  const [page, larger] = [largePage(1000), largePage(10_000)]
  const ms = fastest(20, () => renderProjectJson(page))
  expect(fastest(10, () => renderProjectJson(larger)) / ms).toBeLessThan(40)
})

function refusalOf(work: () => unknown): Refusal {
  try {
    work()
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
  throw new Error('nothing was refused')
}
