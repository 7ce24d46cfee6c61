import {
  isInstaller,
  negotiateSimple,
  preferredType,
  wantsJson,
  type RequestHeaders,
} from '#server/http/negotiate.js'

const LEGACY = 'text/html; charset=UTF-8'
const HTML = 'application/vnd.pypi.simple.v1+html; charset=UTF-8'
const JSON_V1 = 'application/vnd.pypi.simple.v1+json'
const V1_HTML = 'application/vnd.pypi.simple.v1+html'

function request(accept?: string, userAgent?: string): RequestHeaders {
  return {
    headers: {
      ...(accept === undefined ? {} : { accept }),
      ...(userAgent === undefined ? {} : { 'user-agent': userAgent }),
    },
  }
}

function typeOf(accept?: string): string {
  const answer = negotiateSimple(request(accept))
  return answer === 'not-acceptable' ? answer : answer.contentType
}

test.each<[string, string | undefined, string]>([
  ['no Accept', undefined, LEGACY],
  ['an empty Accept', '', LEGACY],
  ['anything', '*/*', LEGACY],
  ['any text', 'text/*', LEGACY],
  ['any application', 'application/*', HTML],
  ['a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', LEGACY],
  ['pip', `${JSON_V1}, ${V1_HTML}; q=0.1, text/html; q=0.01`, JSON_V1],
  ['uv', `${JSON_V1}, ${V1_HTML};q=0.2, text/html;q=0.01`, JSON_V1],
  ['PEP 691: JSON alone', JSON_V1, JSON_V1],
  ['PEP 691: HTML alone', V1_HTML, HTML],
  ['PEP 691: latest JSON is told as v1', 'application/vnd.pypi.simple.latest+json', JSON_V1],
  ['PEP 691: latest HTML is told as v1', 'application/vnd.pypi.simple.latest+html', HTML],
  ['a tie', `${JSON_V1}, text/html`, LEGACY],
  ['a tie with anything', `${JSON_V1}, */*`, LEGACY],
  ['a tie of both HTML', `${V1_HTML}, text/html`, LEGACY],
  ['the higher q-value', `text/html;q=0.5, ${JSON_V1};q=0.6`, JSON_V1],
  ['q in upper case and spaces', `text/html ; Q=0.5 , ${JSON_V1} ; q = 0.6`, JSON_V1],
  ['types in upper case', 'TEXT/HTML', LEGACY],
  ['parameters besides q', `${JSON_V1};charset=utf-8;q=1`, JSON_V1],
  ['RFC 9110: q=0 excludes', 'text/html;q=0, */*', HTML],
  ['RFC 9110: the most specific range decides', `*/*, text/html;q=0.1, ${V1_HTML};q=0.2, ${JSON_V1};q=0.3, application/*;q=0`, JSON_V1],
  ['plain JSON', 'application/json', 'not-acceptable'],
  ['another version', 'application/vnd.pypi.simple.v2+json', 'not-acceptable'],
  ['nothing at all', '*/*;q=0', 'not-acceptable'],
  ['a q-value out of range', 'text/html;q=2', 'not-acceptable'],
  ['a q-value with too many digits', 'text/html;q=0.1234', 'not-acceptable'],
  ['a q-value in words', 'text/html;q=much', 'not-acceptable'],
  ['nonsense', ',;=/', 'not-acceptable'],
])('spelling for %s', (_, accept, contentType) => {
  expect(typeOf(accept)).toBe(contentType)
  expect(typeOf(accept)).toBe(contentType) // remembered the same
})

test.each([
  ['pip/24.0 {"cpu":"x86_64"}', true],
  ['uv/0.5.1', true],
  ['pex/2.1', true],
  ['distribute/0.6', true],
  ['Python-urllib/3.11 setuptools/40', true],
  ['twine/5 pip/1', true],
  ['devpi-client/7.2 (py3.11; linux)', false],
  ['pipx/1', false],
  ['UV/1', false],
  ['poetry/1.8', false],
  ['my-pip/1', false],
  ['pip', false],
  ['', false],
  [undefined, false],
])('the agent %s is an installer: %s', (userAgent, installer) => {
  expect(isInstaller(request(undefined, userAgent))).toBe(installer)
  expect(negotiateSimple(request(JSON_V1, userAgent))).toEqual({ spelling: 'json', contentType: JSON_V1, installer })
})

test.each([
  ['application/json', true],
  ['text/html, application/json;q=0.1', true],
  [JSON_V1, false],
  ['*/*', false],
  [undefined, false],
])('Accept %s wants JSON: %s', (accept, wanted) => {
  expect(wantsJson(request(accept))).toBe(wanted)
})

test.each([
  [undefined, 'application/json'],
  ['text/html;q=0.1, */*;q=0.05', 'text/html'],
  ['text/plain', undefined],
])('of JSON and HTML, Accept %s prefers %s', (accept, type) => {
  expect(preferredType(accept, ['application/json', 'text/html'])).toBe(type)
})

test('ever new headers do not change the answers', () => {
  for (let at = 0; at < 1200; at++) expect(typeOf(`text/html, x/y${at}`)).toBe(LEGACY)
  expect(typeOf(`text/html, x/${'y'.repeat(2000)}`)).toBe(LEGACY)
})
