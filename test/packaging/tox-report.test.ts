import type { JsonValue } from '#log-format/values.js'
import { readToxReport } from '#server/packaging/tox-report.js'

const ran = (...codes: readonly JsonValue[]): JsonValue => codes.map((retcode) => ({ command: ['x'], output: '', retcode }))
const report = (testenvs: JsonValue): JsonValue => ({ reportversion: '1', toxversion: '3.28.0', host: 'box', platform: 'linux', testenvs })

test.each<[string, JsonValue, object]>([
  ['all well', { setup: ran(0, 0), test: ran(0), python: { version: '3.11.7 (main, Dec 1 2023)\n[GCC]' } }, { state: 'passed', commands: 3, failed: 0, python: '3.11.7' }],
  ['a test failed', { setup: ran(0), test: ran(0, 1, 2) }, { state: 'failed', commands: 4, failed: 2 }],
  ['the set-up failed', { setup: ran(1), test: [] }, { state: 'failed', commands: 1, failed: 1 }],
  ['no test', { setup: ran(0) }, { state: 'unknown', commands: 1, failed: 0 }],
  ['nothing', {}, { state: 'unknown', commands: 0, failed: 0 }],
  ['codes as text', { test: ran('0', '1') }, { state: 'failed', commands: 2, failed: 1 }],
  ['killed', { test: ran(-9) }, { state: 'failed', commands: 1, failed: 1 }],
  ['no codes', { test: ran(null, 'x', {}, []), setup: 'x' }, { state: 'unknown', commands: 0, failed: 0 }],
  ['commands of another form', { test: [1, null, 'x', []] }, { state: 'unknown', commands: 0, failed: 0 }],
  ['no environment', null, { state: 'unknown', commands: 0, failed: 0 }],
  ['a version of no form', { test: ran(0), python: { version: '<b>' } }, { state: 'passed', commands: 1, failed: 0 }],
])('%s', (_, environment, wanted) => {
  expect(readToxReport(report({ py311: environment }))).toEqual({ host: 'box', platform: 'linux', environments: [{ name: 'py311', ...wanted }] })
})

test('environments keep their order, and any name', () => {
  const testenvs = JSON.parse('{"py311": {}, "__proto__": {}, "größe-\u{1f40d}": {}}') as JsonValue
  expect(readToxReport(report(testenvs))?.environments.map(({ name }) => name)).toEqual(['py311', '__proto__', 'größe-\u{1f40d}'])
})

test.each<[string, JsonValue]>([
  ['a list', []],
  ['null', null],
  ['no host', { platform: 'linux', testenvs: {} }],
  ['no platform', { host: 'box', testenvs: {} }],
  ['no environments', { host: 'box', platform: 'linux' }],
  ['environments in a list', report([])],
  ['a host that is a number', { host: 1, platform: 'linux', testenvs: {} }],
  ['an empty host', { host: '', platform: 'linux', testenvs: {} }],
  ['a host of two lines', { host: 'a\nb', platform: 'linux', testenvs: {} }],
  ['a NUL', report({ 'a\0b': {} })],
  ['half a character', report({ '\ud800': {} })],
  ['a name without end', report({ ['x'.repeat(201)]: {} })],
  ['too many environments', report(Object.fromEntries(Array.from({ length: 201 }, (_, at) => [`e${at}`, {}])))],
])('says nothing in short: %s', (_, document) => {
  expect(readToxReport(document)).toBeUndefined()
})
