import { parseConstraint, parseDuration, parseExemption, parseTime, splitConstraints } from '#server/packaging/policy-text.js'
import { hasPolicy, liftedAt, policyOn, type PolicySettings, ruleText } from '#server/packaging/release-policy.js'

const DAY = 86_400_000
const NOW = Date.parse('2026-06-01T00:00:00Z')

test.each<[string, number | undefined]>([
  ['7d', 7 * DAY],
  ['36h', 1.5 * DAY],
  ['1w2d', 9 * DAY],
  ['90s', 90_000],
  ['5m', 300_000],
  ['0', 0],
  ['36500d', 36_500 * DAY],
  ['36501d', undefined],
  ['7', undefined],
  ['', undefined],
  ['7 d', undefined],
  ['-7d', undefined],
  ['1.5d', undefined],
  ['7D', undefined],
  ['1s'.repeat(40), undefined],
])('a duration: %j', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each<[string, string | undefined]>([
  ['2026-11-01', '2026-11-01T00:00:00.000Z'],
  ['2026-11-01T12:30:00Z', '2026-11-01T12:30:00.000Z'],
  ['2026-11-01t12:30+02:00', '2026-11-01T10:30:00.000Z'],
  ['2026-11-01T12:30', undefined],
  ['2026-02-30', undefined],
  ['2026-02-30T01:00Z', undefined],
  ['2026-13-01', undefined],
  ['November', undefined],
  ['1700000000', undefined],
])('a time: %j', (text, iso) => {
  const ms = parseTime(text)
  expect(ms === undefined ? undefined : new Date(ms).toISOString()).toBe(iso)
})

test.each(['requests', 'requests>=2.31', 'Requests >= 2.31, < 3', '!leftpad', '! leftpad==1.*', '*', '!*', 'acme-*', '!acme.*>=2', '!a!=1'])('a constraint: %j', (line) => {
  expect(parseConstraint(line)).toBeDefined()
})

test.each(['', '!', '-requests', 'requests 2', 'requests>=', 'requests>=2 <3', '**', 'a*b', 'ac-me-', '!!a', 'requests[x]>=1', 'requests; python_version<"3"', 'a==1,'])('no constraint: %j', (line) => {
  expect(parseConstraint(line)).toBeUndefined()
})

test.each<[string, string[]]>([
  ['requests>=2.31,<3,!leftpad,a!=1,!=2', ['requests>=2.31,<3', '!leftpad', 'a!=1,!=2']],
  ['a>=1, <2\n!b\n\n<3', ['a>=1,<2', '!b', '<3']],
  [' , ', []],
])('lines in one text: %j', (text, lines) => {
  expect(splitConstraints(text)).toEqual(lines)
})

test.each(['a==1 until 2026-07-01 because x', 'acme-* until 2026-07-01T00:00Z because it is ours, all of it', 'A >=1, <2  until 2026-07-01 because until then'])('an exemption: %j', (line) => {
  expect(parseExemption(line)).toBeDefined()
})

test.each(['a==1', 'a==1 until 2026-07-01', 'a==1 until soon because x', '* until 2026-07-01 because x', '!a until 2026-07-01 because x', 'a until 2026-07-01 because '])('no exemption: %j', (line) => {
  expect(parseExemption(line)).toBeUndefined()
})

/** Which of the versions are hidden. */
function hidden(settings: PolicySettings, project: string, versions: readonly string[], entered = 0): string[] {
  const judge = policyOn(settings, project)
  return judge === undefined ? [] : versions.filter((version) => judge({ version, entered }, NOW).hiddenBy.length > 0)
}

const VERSIONS = ['1.0', '1.5rc1', '2.0', '2.0.post1', '3.0', 'odd']

test.each<[string, string[], string, string[]]>([
  ['nothing said', [], 'a', []],
  ['other projects', ['b>=2', '!c'], 'a', []],
  ['what may be had', ['a>=2'], 'a', ['1.0', '1.5rc1', 'odd']],
  ['all lines of a project hold', ['a>=2', 'a<3'], 'a', ['1.0', '1.5rc1', '3.0', 'odd']],
  ['a denial', ['!a'], 'a', VERSIONS],
  ['a denial of versions', ['!a<2'], 'a', ['1.0', '1.5rc1']],
  ['a denial of what a line names', ['a>=2', '!a==3.0'], 'a', ['1.0', '1.5rc1', '3.0', 'odd']],
  ['names in any spelling', ['My.Lib>=2'], 'my-lib', ['1.0', '1.5rc1', 'odd']],
  ['how names begin', ['!acme.*'], 'acme-core', VERSIONS],
  ['a name that begins otherwise', ['!acme.*'], 'acmecore', []],
  ['a narrower line opens', ['!acme-*', 'acme-core<2'], 'acme-core', ['2.0', '2.0.post1', '3.0', 'odd']],
  ['nothing but', ['!*', 'a', 'acme-*'], 'b', VERSIONS],
  ['nothing but, of which', ['!*', 'a>=3'], 'a', ['1.0', '1.5rc1', '2.0', '2.0.post1', 'odd']],
  ['a denial opens nothing', ['!*', '!a==9'], 'a', VERSIONS],
  ['nothing but, with a prefix', ['!*', 'acme-*'], 'acme-x', []],
  ['everything', ['*'], 'a', []],
  ['everything, below a version', ['*<3'], 'a', ['3.0', 'odd']],
  ['a narrower line instead of everything', ['*<3', 'a'], 'a', []],
])('constraints: %s', (_, constraints, project, expected) => {
  expect(hidden({ constraints }, project, VERSIONS)).toEqual(expected)
})

test('an age lifts by itself, to the millisecond', () => {
  const judge = policyOn({ min_release_age: '7d' }, 'a')
  const file = { version: '1.0', entered: NOW }
  expect(judge?.(file, NOW + 7 * DAY - 1)).toEqual({ hiddenBy: [{ option: 'min_release_age', value: '7d', until: NOW + 7 * DAY }], next: NOW + 7 * DAY })
  expect(judge?.(file, NOW + 7 * DAY)).toEqual({ hiddenBy: [], next: Infinity })
})

test('a freeze lets through what entered up to its moment', () => {
  const judge = policyOn({ freeze_at: new Date(NOW).toISOString() }, 'a')
  expect(judge?.({ version: '1.0', entered: NOW }, NOW).hiddenBy).toEqual([])
  expect(judge?.({ version: '1.0', entered: NOW + 1 }, NOW)).toMatchObject({ hiddenBy: [{ option: 'freeze_at', until: undefined }], next: Infinity })
})

test('an exemption is for its versions, and until its moment', () => {
  const settings = { min_release_age: '7d', constraints: ['!a'], policy_exemptions: ['a==1.0 until 2026-06-02 because x', 'a==1.* until 2026-06-03 because y', 'b until 2027-01-01 because z'] }
  const judge = policyOn(settings, 'a')
  expect(judge?.({ version: '1.0', entered: NOW }, NOW)).toMatchObject({ hiddenBy: [], exemption: { reason: 'y' }, next: NOW + 2 * DAY })
  expect(judge?.({ version: '2.0', entered: NOW }, NOW).hiddenBy).toHaveLength(2)
  expect(judge?.({ version: '1.0', entered: NOW }, NOW + 2 * DAY).hiddenBy).toHaveLength(2)
})

test('all rules must be lifted', () => {
  const age = { option: 'min_release_age', value: '1d', until: 5 } as const
  expect(liftedAt([age, { ...age, until: 7 }])).toBe(7)
  expect(liftedAt([age, { option: 'constraints', value: '!a', until: undefined }])).toBeUndefined()
  expect(ruleText(age, 'alice/dev')).toBe('min_release_age=1d of alice/dev until 1970-01-01T00:00:00.005Z')
})

test('without rules there is no policy', () => {
  expect(hasPolicy({})).toBe(false)
  expect(hasPolicy({ constraints: [], policy_exemptions: ['a until 2026-07-01 because x'] })).toBe(false)
  expect(policyOn({ constraints: ['!b'] }, 'a')).toBeUndefined()
})

test('settings that cannot be read show nothing', () => {
  expect(() => policyOn({ constraints: ['a b c'] }, 'z')).toThrow('cannot be read')
})
