import fc from 'fast-check'
import { Refusal } from '#log-format/api/refusal.js'
import {
  LIST_FIELDS, MAX_CORE_METADATA_BYTES, SCALAR_FIELDS, agreeOnIdentity, checkMetadata, emptyMetadata, mergeMetadata, metadataFromCore,
  metadataFromForm, parseCoreMetadata,
} from '#server/packaging/core-metadata.js'

const HEAD = 'Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n'

describe('parseCoreMetadata', () => {
  test('headers, repeated headers and body', () => {
    const core = parseCoreMetadata(`${HEAD}Classifier: A\nclassifier: B\nSummary:  two blanks\nHome-page:\n\nLong\n\ntext: here\n`)
    expect(core).toMatchObject({ name: 'demo', version: '1.0', description: 'Long\n\ntext: here\n' })
    expect(core.headers.get('classifier')).toEqual(['A', 'B'])
    expect(core.headers.get('summary')).toEqual(['two blanks'])
    expect(core.headers.get('home-page')).toEqual([''])
  })

  test.each([
    ['CRLF', `${HEAD}Summary: s\n\nbody\n`.replaceAll('\n', '\r\n'), 'body\n'],
    ['Description header, eight blanks (1.x)', `${HEAD}Description: first\n        second\n        \n          deeper\n`, 'first\nsecond\n\n  deeper'],
    ['Description header, bars', `${HEAD}Description: first\n       |second\n       |  deeper\n`, 'first\nsecond\n  deeper'],
    ['the body counts more than the header', `${HEAD}Description: header\n\nbody`, 'body'],
    ['a blank body does not', `${HEAD}Description: header\n\n\n`, 'header'],
    ['a line that is no header begins the body', `${HEAD}just text\nName: other\n`, 'just text\nName: other\n'],
    ['no end of line at the end', HEAD.trimEnd(), ''],
  ])('%s', (_, text, description) => {
    expect(parseCoreMetadata(text)).toMatchObject({ name: 'demo', version: '1.0', description })
  })

  test.each([
    ['nothing', '', 'has no Name'],
    ['no name', 'Metadata-Version: 2.1\nVersion: 1.0\n', 'has no Name'],
    ['an empty name', 'Name:  \nVersion: 1.0\n', 'has no Name'],
    ['no version', 'Name: demo\n', 'has no Version'],
    ['the version in the body only', 'Name: demo\n\nVersion: 1.0\n', 'has no Version'],
    ['two names', `${HEAD}Name: other\n`, 'more than one Name'],
    ['two versions, in another case', `${HEAD}VERSION: 2\n`, 'more than one Version'],
    ['a text too long', HEAD + 'x'.repeat(MAX_CORE_METADATA_BYTES), 'longer than'],
    ['too many fields', HEAD + 'A: b\n'.repeat(30_000), 'more than 20000 fields'],
    ['a continuation before any header', ` x\n${HEAD}`, 'has no Name'],
  ])('refuses %s', (_, text, message) => {
    expect(refusalOf(() => parseCoreMetadata(text))).toMatchObject({ kind: 'invalid', message: expect.stringContaining(message) })
  })

  test('any text is read or refused', () => {
    const line = fc.oneof(fc.string(), fc.constantFrom('Name: a', 'Version: 1', '', ' more', ':', 'A:b', '\r'))
    fc.assert(fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
      const text = lines.join('\n')
      try {
        expect(parseCoreMetadata(text).name).not.toBe('')
      } catch (error) {
        expect(error).toBeInstanceOf(Refusal)
      }
    }))
  })
})

test('the fields are those of spec/server-http.md 11.3', () => {
  expect([...SCALAR_FIELDS, ...LIST_FIELDS].toSorted()).toEqual(
    `name version metadata_version summary home_page author author_email maintainer maintainer_email license description keywords platform
     classifiers download_url supported_platform comment provides requires obsoletes project_urls provides_dist obsoletes_dist requires_dist
     requires_external requires_python description_content_type provides_extras dynamic license_expression license_file`.split(/\s+/).toSorted(),
  )
  expect(emptyMetadata()).toMatchObject({ summary: '', classifiers: [] })
})

describe('metadataFromForm (spec/server-http.md 8.3)', () => {
  test.each<[string, [string, string][], Record<string, unknown>]>([
    ['scalars', [['name', 'demo'], ['summary', 'S']], { name: 'demo', summary: 'S' }],
    ['the last occurrence of a scalar', [['summary', 'a'], ['summary', 'b']], { summary: 'b' }],
    ['UNKNOWN of a scalar is empty', [['author', 'UNKNOWN']], { author: '' }],
    ['UNKNOWN of a list is kept', [['platform', 'UNKNOWN']], { platform: ['UNKNOWN'] }],
    ['every occurrence of a list, without empty ones', [['classifiers', 'A'], ['classifiers', ''], ['classifiers', 'B']], { classifiers: ['A', 'B'] }],
    ['an empty list is stated', [['classifiers', '']], { classifiers: [] }],
    ['provides_extra of twine 6 (W52)', [['provides_extra', 'x'], ['provides_extra', 'y']], { provides_extras: ['x', 'y'] }],
    ['license_files (W52)', [['license_files', 'L']], { license_file: ['L'] }],
    ['a list sent under both names', [['provides_extra', 'x'], ['provides_extras', 'x']], { provides_extras: ['x'] }],
    ['other fields', [['filetype', 'sdist'], [':action', 'file_upload'], ['md5_digest', 'x'], ['__proto__', 'x'], ['constructor', 'x']], {}],
  ])('%s', (_, fields, metadata) => {
    expect(metadataFromForm(fields)).toEqual(metadata)
  })
})

test('metadataFromCore maps headers to fields and leaves out what is not stated', () => {
  const core = parseCoreMetadata(
    `${HEAD}Home-page: https://x.example\nAuthor: UNKNOWN\nSummary:\nClassifier: A\nRequires-Dist: six\nRequires-Dist: attrs\nProject-URL: D, https://d\n` +
      'Provides-Extra: e\nLicense-File: L\nRequires-Python: >=3.8\nName-Unheard-Of: x\n\nbody\n',
  )
  expect(metadataFromCore(core)).toEqual({
    metadata_version: '2.1', name: 'demo', version: '1.0', home_page: 'https://x.example', classifiers: ['A'], requires_dist: ['six', 'attrs'],
    project_urls: ['D, https://d'], provides_extras: ['e'], license_file: ['L'], requires_python: '>=3.8', description: 'body\n',
  })
})

test.each([
  ['the form wins', { summary: 'form' }, { summary: 'archive' }, { summary: 'form' }],
  ['the archive fills what is missing', {}, { summary: 'archive' }, { summary: 'archive' }],
  ['the archive fills what is empty', { summary: '', classifiers: [] }, { summary: 'a', classifiers: ['A'] }, { summary: 'a', classifiers: ['A'] }],
  ['lists are not mixed', { classifiers: ['F'] }, { classifiers: ['A'] }, { classifiers: ['F'] }],
  ['what the form clears stays stated', { summary: '' }, {}, { summary: '' }],
])('mergeMetadata: %s', (_, form, archive, merged) => {
  expect(mergeMetadata(form, archive)).toEqual(merged)
})

describe('checkMetadata (spec/server-http.md 4.3)', () => {
  test.each([['demo', '1.0'], ['a', '1'], ['My_Pkg.x-2', '1!2.0.post1+l'], ['d', 'not pep 440'], ['9', 'ü']])('takes %s %s', (name, version) => {
    expect(() => { checkMetadata({ name, version }) }).not.toThrow()
  })

  const CHARACTERS = 'Invalid package name. Names must contain only ASCII letters, digits, underscores, hyphens, and periods'
  const FIRST = 'Invalid package name. Names must start with an ASCII letter or digit'
  const LAST = 'Invalid package name. Names must end with an ASCII letter or digit'
  const URL_SAFETY = 'Invalid package name or version (URL safety)'
  test.each<[Record<string, string | string[]>, string]>([
    [{}, 'Missing required field "name"'],
    [{ name: '', version: '' }, 'Missing required field "name"'],
    [{ name: ['demo'], version: '1' }, 'Missing required field "name"'],
    [{ name: '!' }, 'Missing required field "version"'],
    [{ name: 'demo', version: '' }, 'Missing required field "version"'],
    [{ name: '-ü', version: '1' }, CHARACTERS],
    [{ name: 'demo\n', version: '1' }, CHARACTERS],
    [{ name: '-demo-', version: '1' }, FIRST],
    [{ name: 'demo.', version: '<' }, LAST],
    ...['<', '>', '%', '#', '"', '/', '\\', '\0', '\n'].map((bad): [Record<string, string>, string] => [{ name: 'demo', version: `1${bad}0` }, URL_SAFETY]),
  ])('refuses %j', (fields, text) => {
    expect(refusalOf(() => { checkMetadata(fields) })).toMatchObject({ kind: 'invalid', form: 'reason', message: `invalid metadata: ${text}` })
  })
})

describe('agreeOnIdentity', () => {
  const rules = { normalizeName: (name: string) => name.toLowerCase(), canonicalVersion: (version: string) => version.replace(/(?:\.0)+$/, '') }

  test('compares what the rules make of name and version', () => {
    expect(() => { agreeOnIdentity({ name: 'Demo', version: '1.0.0' }, { project: 'demo', version: '1' }, rules) }).not.toThrow()
  })

  test.each([
    [{ project: 'other', version: '1.0' }, "the archive is of project 'Demo', but was uploaded as 'other'"],
    [{ project: 'demo', version: '1.1' }, "the archive is of version '1.0', but was uploaded as '1.1'"],
  ])('refuses %j', (claimed, message) => {
    expect(refusalOf(() => { agreeOnIdentity({ name: 'Demo', version: '1.0' }, claimed, rules) })).toMatchObject({ kind: 'invalid', message })
  })
})

function refusalOf(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}
