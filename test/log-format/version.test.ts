import fc from 'fast-check'
import {
  canonicalVersion,
  compareVersions,
  isPep440,
  isPrerelease,
  parseVersion,
  sortVersionsAscending,
  sortVersionsDescending,
  versionIdentity,
  versionSortKey,
} from '#log-format/version.js'

const BIG = '9'.repeat(40)

/** Text that resembles a version, so that more than the first character is looked at. */
const versionLike = fc.oneof(
  fc
    .array(fc.constantFrom('0', '1', '2', '10', '00', '.', '-', '_', '+', '!', 'a', 'rc', 'post', 'dev', 'x', 'v', ' '), {
      maxLength: 10,
    })
    .map((parts) => parts.join('')),
  fc
    .tuple(
      fc.constantFrom('', '', '1!', 'v'),
      fc.array(fc.nat({ max: 11 }), { minLength: 1, maxLength: 4 }).map((release) => release.join('.')),
      fc.constantFrom('', '', 'a1', '-beta', '_c2', '.rc.0'),
      fc.constantFrom('', '', '-1', '.post2', 'rev'),
      fc.constantFrom('', '', 'dev', '.dev3'),
      fc.constantFrom('', '', '+1', '+abc', '+abc.1', '+10'),
    )
    .map((parts) => parts.join('')),
)
const anyVersion = fc.oneof(versionLike, fc.string({ unit: 'binary' }))

describe('parts', () => {
  test('all of them', () => {
    expect(parseVersion('v01!2.03.0-Alpha_4-rev.5_DEV6+Ubuntu-007_x')).toEqual({
      epoch: '1',
      release: ['2', '3', '0'],
      pre: { label: 'a', number: '4' },
      post: '5',
      dev: '6',
      local: ['ubuntu', '7', 'x'],
    })
  })

  test('none but the release', () => {
    expect(parseVersion('1')).toEqual({
      epoch: '0',
      release: ['1'],
      pre: undefined,
      post: undefined,
      dev: undefined,
      local: undefined,
    })
  })
})

describe('canonical form', () => {
  test.each([
    // PEP 440, "Normalization"
    ['1.1RC1', '1.1rc1'], // case
    ['00', '0'], // integers
    ['09000', '9000'],
    ['1.0+foo0100', '1.0+foo0100'],
    ['1.1.a1', '1.1a1'], // pre-release separators
    ['1.1-a1', '1.1a1'],
    ['1.1_a1', '1.1a1'],
    ['1.1a.1', '1.1a1'],
    ['1.1alpha1', '1.1a1'], // pre-release spelling
    ['1.1beta2', '1.1b2'],
    ['1.1c3', '1.1rc3'],
    ['1.1pre3', '1.1rc3'],
    ['1.1-preview_3', '1.1rc3'],
    ['1.2a', '1.2a0'], // implicit pre-release number
    ['1.2-post2', '1.2.post2'], // post-release separators
    ['1.2post2', '1.2.post2'],
    ['1.2.post.2', '1.2.post2'],
    ['1.2post-2', '1.2.post2'],
    ['1.0-r4', '1.0.post4'], // post-release spelling
    ['1.0.rev4', '1.0.post4'],
    ['1.2.post', '1.2.post0'], // implicit post-release number
    ['1.0-1', '1.0.post1'], // implicit post-release
    ['1.2-dev2', '1.2.dev2'], // development release separators
    ['1.2dev2', '1.2.dev2'],
    ['1.2.dev-2', '1.2.dev2'],
    ['1.2.dev', '1.2.dev0'], // implicit development release number
    ['1.0+ubuntu-1', '1.0+ubuntu.1'], // local version separators
    ['1.0+Ubuntu_01', '1.0+ubuntu.1'],
    ['v1.0', '1.0'], // preceding v
    ['V1.0', '1.0'],
    [' \t1.0\r\n\f\v', '1.0'], // white space
    // combinations
    ['0!1', '1'],
    ['01!1', '1!1'],
    ['1.0.0', '1.0.0'],
    ['1rc1.post2.dev3+l', '1rc1.post2.dev3+l'],
    ['1.0a1-2', '1.0a1.post2'],
    ['2024.01.05', '2024.1.5'],
    [`1.${BIG}`, `1.${BIG}`],
  ])('of %j is %j', (text, wanted) => {
    expect(isPep440(text)).toBe(true)
    expect(canonicalVersion(text)).toBe(wanted)
  })

  test.each([
    '',
    ' ',
    'x',
    'french toast',
    '1.0x',
    '1..0',
    '1.',
    '.1',
    '-1',
    '1.0-',
    '1.0-foo',
    '1.0+',
    '1.0+a+',
    '1.0++',
    '1.0+foo..bar',
    '1.0+_foobar',
    '1.0+foo&asd',
    '1.0+1+1',
    '1!',
    'a!1',
    '1!2!3',
    '1.0a1b2',
    '1.0.dev1.post1',
    '1 .0',
    'vv1',
    '1.0\0',
    '1.0+\u212a', // KELVIN SIGN
    '1.0po\u017ft1', // LONG S
    '\u0661.0', // ARABIC-INDIC DIGIT ONE
    '１.0',
    `1.0+${'a'.repeat(1000)}`, // longer than any version may be
  ])('%j is legacy', (text) => {
    expect(isPep440(text)).toBe(false)
    expect(parseVersion(text)).toBeUndefined()
    expect(canonicalVersion(text)).toBe(text.trim())
    expect(versionIdentity(text)).toBe(text.trim())
    expect(isPrerelease(text)).toBe(false)
  })

  test('is its own canonical form and the same version', () => {
    fc.assert(
      fc.property(anyVersion, (text) => {
        const canonical = canonicalVersion(text)
        expect(canonicalVersion(canonical)).toBe(canonical)
        expect(parseVersion(canonical)).toEqual(parseVersion(text))
      }),
    )
  })
})

test.each([
  ['1.0', '1', true],
  ['1.0.0', '1', true],
  ['v1.0.0a.0', '1a0', true],
  ['0.0', '0', true],
  ['1!1.0', '1!1', true],
  ['1.0+1', '1+01', true],
  ['1.0-1', '1.post1', true],
  ['10', '1', false],
  ['1.0', '1.0+l', false],
  ['1', '1!1', false],
  ['1.0-foo', '1-foo', false], // legacy: as it is
])('%j and %j are one release: %j', (a, b, wanted) => {
  expect(versionIdentity(a) === versionIdentity(b)).toBe(wanted)
})

test.each([
  ['1.0a1', true],
  ['1.0rc1.post1', true],
  ['1.0.dev1', true],
  ['1.0.post1.dev1', true],
  ['1.0', false],
  ['1.0.post1', false],
  ['1.0+dev', false],
  ['1.0-1', false],
  ['dev', false], // server-http.md 4.6: a legacy version never is one
])('%j is a pre-release: %j', (text, wanted) => {
  expect(isPrerelease(text)).toBe(wanted)
})

describe('order', () => {
  test.each<[string, string[]]>([
    [
      'PEP 440, "Summary of permitted suffixes and relative ordering"',
      [
        '1.dev0',
        '1.0.dev456',
        '1.0a1',
        '1.0a2.dev456',
        '1.0a12.dev456',
        '1.0a12',
        '1.0b1.dev456',
        '1.0b2',
        '1.0b2.post345.dev456',
        '1.0b2.post345',
        '1.0rc1.dev456',
        '1.0rc1',
        '1.0',
        '1.0+abc.5',
        '1.0+abc.7',
        '1.0+5',
        '1.0.post456.dev34',
        '1.0.post456',
        '1.0.15',
        '1.1.dev1',
      ],
    ],
    ['PEP 440, "Version epochs"', ['1.0', '1.1', '2.0', '2013.10', '2014.04', '1!1.0', '1!1.1', '1!2.0']],
    ['PEP 440, "Final releases"', ['0.9', '0.9.1', '0.9.2', '0.9.10', '0.9.11', '1.0', '1.0.1', '1.1', '2.0', '2.0.1']],
    ['PEP 440, "Local version identifiers"', ['1+a', '1+a.b', '1+a.1', '1+b', '1+2', '1+2.a', '1+2.1', '1+10', '1.post1']],
    ['numbers of any size', ['1.9', '1.9007199254740992', '1.9007199254740993', `1.${BIG}`, `1.1${BIG}`, '2']],
    [
      'server-http.md 4.6',
      ['dev-x', 'foo', '2.0-foo', '1.0.dev1', '1.0a1', '1.0rc1', '1.00', '1.0', '1.0+l', '1.0.post1', '1!0.1'],
    ],
    // setuptools, "Specifying your project's version", as it was before PEP 440
    [
      'legacy numbers and words',
      ['x.dev', 'x.a', 'x.b', 'x.pre1', 'x.rc2', 'x', 'x-1', 'x-2', 'x.p1', 'x.1', 'x.2', 'x.10', '1.x'],
    ],
    ['legacy words after a dash', ['x.1-dev', 'x.1-alpha', 'x.1-c', 'x.1', 'x.1-foo', 'x.1.1']],
    ['legacy names that JavaScript knows', ['__proto__', 'constructor', 'toString', 'valueOf']],
  ])('%s', (_, ascending) => {
    expect(sortVersionsAscending(ascending.toReversed())).toEqual(ascending)
    expect(sortVersionsDescending(ascending)).toEqual(ascending.toReversed())
  })

  test.each([
    ['1.0', '1.0.0'],
    ['1.0', 'v1.0'],
    ['1.0-1', '1.0.post1'],
    ['1.0.RC1', '1.0rc1'],
    ['FOO', 'foo'],
    ['x-1', 'x-1.0'],
    ['x.pre', 'x.rc'],
  ])('%j and %j are equal, the first leads a descending list', (first, second) => {
    expect(versionSortKey(first)).toBe(versionSortKey(second))
    expect(sortVersionsDescending([second, first])).toEqual([first, second])
  })

  test('is total', () => {
    fc.assert(
      fc.property(anyVersion, anyVersion, anyVersion, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b))).toBe(0 - Math.sign(compareVersions(b, a)))
        expect(compareVersions(a, b) === 0).toBe(a === b)
        if (compareVersions(a, b) < 0 && compareVersions(b, c) < 0) expect(compareVersions(a, c)).toBeLessThan(0)
      }),
      { numRuns: 500 },
    )
  })

  test('agrees with equality, and legacy versions are below all others', () => {
    fc.assert(
      fc.property(versionLike, versionLike, (a, b) => {
        if (isPep440(a) && isPep440(b)) {
          expect(versionSortKey(a) === versionSortKey(b)).toBe(versionIdentity(a) === versionIdentity(b))
        } else if (isPep440(a)) {
          expect(compareVersions(b, a)).toBeLessThan(0)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('size', () => {
  test.each([
    ['1'.repeat(1_000_000)],
    ['1.'.repeat(500_000)],
    [`1+${'a.'.repeat(500_000)}!`],
    ['1-'.repeat(500_000)],
    [`1${' '.repeat(1_000_000)}x`],
    ['a'.repeat(1_000_000)],
  ])('a million characters are no burden', (text) => {
    const started = performance.now()
    canonicalVersion(text)
    expect(compareVersions(text, `${text}x`)).not.toBe(0)
    expect(performance.now() - started).toBeLessThan(5_000) // quadratic time would take minutes
  })

  test('ten thousand versions sort at once', () => {
    const versions = Array.from({ length: 10_000 }, (_, i) => `${i % 7}.${(i * 7919) % 10_007}.${i % 13}rc${i}+local.${i}`)
    const started = performance.now()
    sortVersionsDescending(versions)
    expect(performance.now() - started).toBeLessThan(2_000) // some 25 ms once warm
  })
})
