import fc from 'fast-check'
import { checkProjectName, isNormalProjectName, normalizeProjectName } from '#server/packaging/project-name.js'

describe('normal form', () => {
  test.each([
    // PEP 503, "Normalized Names", and the packaging guide's examples
    ['friendly-bard', 'friendly-bard'],
    ['Friendly-Bard', 'friendly-bard'],
    ['FRIENDLY-BARD', 'friendly-bard'],
    ['friendly.bard', 'friendly-bard'],
    ['friendly_bard', 'friendly-bard'],
    ['friendly--bard', 'friendly-bard'],
    ['FrIeNdLy-._.-bArD', 'friendly-bard'],
    // server-http.md 4.2 and 22
    ['My_Pkg', 'my-pkg'],
    ['a..b--c__d', 'a-b-c-d'],
    ['Zope.Interface', 'zope-interface'],
    ['De..mo__X', 'de-mo-x'],
    ['föö', 'f-'],
    // names that are illegal still have one
    ['a b+c', 'a-b-c'],
    ['_', '-'],
    ['', ''],
    ['\ud800x', '-x'],
    ['İ', '-'],
  ])('%j is %j', (name, wanted) => {
    expect(normalizeProjectName(name)).toBe(wanted)
  })

  test('is its own normal form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const normal = normalizeProjectName(name)
        expect(normalizeProjectName(normal)).toBe(normal)
        expect(isNormalProjectName(normal)).toBe(name !== '')
      }),
    )
  })

  test.each([
    ['demo', true],
    ['my-pkg-2', true],
    ['7', true],
    ['f-', true],
    ['Demo', false],
    ['my_pkg', false],
    ['my--pkg', false],
    ['my.pkg', false],
    ['+simple', false],
    ['', false],
  ])('%j is normal: %j', (name, wanted) => {
    expect(isNormalProjectName(name)).toBe(wanted)
  })
})

describe('legal names', () => {
  test.each([
    // PEP 508, "Names"
    ['A', 'a'],
    ['0', '0'],
    ['aa', 'aa'],
    ['name', 'name'],
    ['Zope.Interface', 'zope-interface'],
    ['my_pkg--x', 'my-pkg-x'],
    ['2to3', '2to3'],
    ['x'.repeat(255), 'x'.repeat(255)],
  ])('%j is kept as %j', (name, wanted) => {
    expect(checkProjectName(name)).toBe(wanted)
  })

  const CHARACTERS =
    'Invalid package name. Names must contain only ASCII letters, digits, underscores, hyphens, and periods'
  const START = 'Invalid package name. Names must start with an ASCII letter or digit'
  const END = 'Invalid package name. Names must end with an ASCII letter or digit'

  test.each([
    // server-http.md 4.3, in the order of its table
    ['', 'Missing required field "name"'],
    ['föö', CHARACTERS],
    ['a b', CHARACTERS],
    ['a/b', CHARACTERS],
    ['demo\n', CHARACTERS],
    ['demo\0', CHARACTERS],
    ['a[extra]', CHARACTERS],
    ['\u{1f40d}', CHARACTERS],
    ['\u212aelvin', CHARACTERS], // KELVIN SIGN lower-cases to an ASCII k
    // reserved path segments, server-http.md 2.1
    ['+simple', CHARACTERS],
    ['+f', CHARACTERS],
    ['.', START],
    ['..', START],
    ['-x', START],
    ['_x_', START],
    ['x-', END],
    ['x.', END],
    ['x'.repeat(256), 'Invalid package name. Names must have at most 255 characters'],
  ])('%j is refused', (name, message) => {
    expect(() => checkProjectName(name)).toThrow(expect.objectContaining({ name: 'Refusal', kind: 'invalid', message }))
  })

  test('have a normal form that is legal too and meets no reserved segment', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,30}[A-Za-z0-9])?$/), (name) => {
        const normal = checkProjectName(name)
        expect(normal).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/)
        expect(checkProjectName(normal)).toBe(normal)
      }),
    )
  })
})
