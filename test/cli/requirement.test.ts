import { parseRequirement } from '#cli/requirement.js'

test.each<[string, string[], string[]]>([
  ['kite', ['1.0', '1.0rc1', 'legacy-one'], []],
  ['kite==1.0', ['1.0', '1.0.0', '1.0+local', 'v1.0'], ['1.0.1', '1.0rc1', '1.0.post1']],
  ['kite == 1.*', ['1', '1.5', '1.5rc1'], ['2.0', '11']],
  ['kite!=1.*', ['2.0'], ['1.4']],
  ['kite>=1,<2', ['1', '1.9', '1.9.post1'], ['0.9', '2.0', '2.0rc1']],
  ['kite<2.0rc2', ['2.0rc1', '1.0'], ['2.0rc2', '2.0']],
  ['kite>1.0', ['1.1', '1.0.1'], ['1.0', '1.0.post1', '1.0+local']],
  ['kite<=1.0', ['1.0', '1.0+local', '0.1'], ['1.0.post1']],
  ['kite~=1.4.2', ['1.4.2', '1.4.9'], ['1.5', '1.4.1']],
  ['kite~=1.4', ['1.4', '1.9'], ['2.0', '1.3']],
  ['kite===legacy-one', ['legacy-one'], ['1.0']],
  ['my.kite_2 (>=1.0)', ['1.0'], ['0.9']],
])('%s', (text, matching, others) => {
  const requirement = parseRequirement(text)
  expect(matching.filter((version) => !requirement.matches(version))).toEqual([])
  expect(others.filter((version) => requirement.matches(version))).toEqual([])
})

test('knows the project, and whether any version will do', () => {
  expect(parseRequirement('my.kite_2>1')).toMatchObject({ project: 'my.kite_2', isBare: false })
  expect(parseRequirement(' kite ')).toMatchObject({ project: 'kite', isBare: true })
})

test.each(['', 'kite==', 'kite=1', '==1', 'kite>>1', 'kite==1,', '-kite', 'kite>=1.*', 'kite~=1', 'kite==not a version', 'kite; python_version>"3"'])(
  'refused: %j',
  (text) => {
    expect(() => parseRequirement(text)).toThrow(/is no requirement such as/)
  },
)
