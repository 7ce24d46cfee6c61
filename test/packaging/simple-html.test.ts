import fc from 'fast-check'
import { escapeHtml, html } from '#server/packaging/html.js'
import {
  CLOSE_LIST_HTML,
  CLOSE_PROJECT_HTML,
  openListHtml,
  openProjectHtml,
  renderFileHtml,
  renderIndexHeading,
  renderListHtml,
  renderProjectHtml,
  renderProjectLine,
} from '#server/packaging/simple-html.js'
import type { SimpleFile } from '#server/packaging/simple-page.js'
import { anyFile, anyPage, fastest, largePage } from './simple-pages.js'

const SHA256 = 'dd609a8f933b97da767bb41d1e6530b9d0f658b30eb90cd2e6ca4178dc255d44'
const plain: SimpleFile = { filename: 'demo-1.0.zip', url: '../../+f/dd6/09a8f933b97da/demo-1.0.zip', hashes: {} }
const href = 'href="../../+f/dd6/09a8f933b97da/demo-1.0.zip'

test.each<[string, Partial<SimpleFile>, string]>([
  ['PEP 503: an anchor', {}, `<a ${href}">demo-1.0.zip</a><br>\n`],
  ['PEP 503: a fragment', { hashes: { sha256: SHA256 } }, `<a ${href}#sha256=${SHA256}">demo-1.0.zip</a><br>\n`],
  ['sha256 before others', { hashes: { md5: 'ab', sha256: 'cd' } }, `<a ${href}#sha256=cd">demo-1.0.zip</a><br>\n`],
  ['the stronger of others', { hashes: { md5: 'ab', sha512: 'cd' } }, `<a ${href}#sha512=cd">demo-1.0.zip</a><br>\n`],
  ['whatever there is', { hashes: { blake3: 'ab' } }, `<a ${href}#blake3=ab">demo-1.0.zip</a><br>\n`],
  ['the owner before it', { owner: 'nina/dev' }, `nina/dev <a ${href}">demo-1.0.zip</a><br>\n`],
  ['PEP 503: escaped', { requiresPython: '>=3.8,<4' }, `<a ${href}" data-requires-python="&gt;=3.8,&lt;4">demo-1.0.zip</a><br>\n`],
  ['no empty requirement', { requiresPython: '' }, `<a ${href}">demo-1.0.zip</a><br>\n`],
  ['PEP 592: a reason', { yanked: 'broken "build"' }, `<a ${href}" data-yanked="broken &quot;build&quot;">demo-1.0.zip</a><br>\n`],
  ['PEP 592: no reason', { yanked: true }, `<a ${href}" data-yanked="">demo-1.0.zip</a><br>\n`],
  ['PEP 592: an empty reason', { yanked: '' }, `<a ${href}" data-yanked="">demo-1.0.zip</a><br>\n`],
  [
    'PEP 714: both names',
    { coreMetadata: { sha256: 'ab' } },
    `<a ${href}" data-core-metadata="sha256=ab" data-dist-info-metadata="sha256=ab">demo-1.0.zip</a><br>\n`,
  ],
  [
    'PEP 658: no hash',
    { coreMetadata: true },
    `<a ${href}" data-core-metadata="true" data-dist-info-metadata="true">demo-1.0.zip</a><br>\n`,
  ],
  ['PEP 740', { provenance: 'https://x/p?a&b' }, `<a ${href}" data-provenance="https://x/p?a&amp;b">demo-1.0.zip</a><br>\n`],
  ['markup in a name', { filename: '<b>.zip' }, `<a ${href}">&lt;b&gt;.zip</a><br>\n`],
])('a file: %s', (_, fields, line) => {
  expect(renderFileHtml({ ...plain, ...fields })).toBe(line)
})

test('a page has the title, the version of PEP 629 and the files', () => {
  const page = { name: 'demo', versions: ['1.0'], files: [plain, plain] }
  const link = `<a ${href}">demo-1.0.zip</a><br>\n`
  expect(String(renderProjectHtml({ title: 'nina/dev: links for demo' }, page))).toBe(
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="pypi:repository-version" content="1.4">' +
      '<title>nina/dev: links for demo</title></head><body><h1>nina/dev: links for demo</h1>\n' +
      `${link}${link}</body></html>\n`,
  )
})

test('the status of the project is told as PEP 792 has it', () => {
  const page = { name: 'demo', versions: [], files: [], projectStatus: { status: 'archived', reason: 'done & dusted' } } as const
  expect(String(renderProjectHtml({ title: 't' }, page))).toContain(
    '<meta name="pypi:project-status" content="archived"><meta name="pypi:project-status-reason" content="done &amp; dusted">',
  )
  expect(openProjectHtml({ title: 't' })).not.toContain('project-status')
})

test('people get a button or a note', () => {
  expect(openProjectHtml({ title: 't', refresh: { action: 'http://h/refresh?a&b', label: 'Refresh' } })).toContain(
    '<form action="http://h/refresh?a&amp;b" method="post"><input name="refresh" type="submit" value="Refresh"></form>\n',
  )
  expect(openProjectHtml({ title: 't', blockedMirror: 'root/pypi' })).toContain(
    "<p><strong>INFO:</strong> Because this project isn't in the <code>mirror_whitelist</code>, " +
      'no releases from <strong>root/pypi</strong> are included.</p>\n',
  )
})

test('a list has one line for each project', () => {
  const whole = String(renderListHtml('nina/dev: simple list', { projects: [{ name: 'demo' }, { name: 'iniconfig' }] }))
  expect(whole).toBe(openListHtml('nina/dev: simple list') + renderProjectLine('demo') + renderProjectLine('iniconfig') + CLOSE_LIST_HTML)
  expect(renderProjectLine('demo')).toBe('<a href="demo/">demo</a><br>\n')
})

test.each([
  ['nina/dev', [], '<h2>nina/dev</h2>\n'],
  ['nina/dev', ['a/b', 'c/d'], '<h2>nina/dev (bases: a/b,c/d)</h2>\n'],
  ['<i>/dev', [], '<h2>&lt;i&gt;/dev</h2>\n'],
])('the heading of %s with bases %j', (index, bases, heading) => {
  expect(renderIndexHeading(index, bases)).toBe(heading)
})

test('a page is its pieces', () => {
  fc.assert(
    fc.property(anyPage, (page) => {
      const head = page.projectStatus === undefined ? { title: 't' } : { title: 't', projectStatus: page.projectStatus }
      const pieces = openProjectHtml(head) + page.files.map(renderFileHtml).join('') + CLOSE_PROJECT_HTML
      expect(String(renderProjectHtml({ title: 't' }, page))).toBe(pieces)
    }),
    { numRuns: 50 },
  )
})

test('nothing in a file breaks out of its place', () => {
  fc.assert(
    fc.property(anyFile, fc.string(), (file, owner) => {
      const line = renderFileHtml({ ...file, owner })
      const bare = line.replace(/^[^<]*<a href="[^"<>]*"( data-[a-z-]+="[^"<>]*")*>[^<>]*<\/a><br>\n$/, '')
      expect(bare).toBe('')
    }),
    { numRuns: 200 },
  )
})

test.each([
  ['plain', 'plain'],
  ['&lt;', '&amp;lt;'],
  [`<a href="x" id='y'>`, '&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;'],
])('escaping %s', (text, escaped) => {
  expect(escapeHtml(text)).toBe(escaped)
  expect(html`<b>${text}</b>${7}`).toBe(`<b>${escaped}</b>7`)
})

test('ten times as many files take about ten times as long', () => {
  const [page, larger] = [largePage(1000), largePage(10_000)]
  const ms = fastest(20, () => renderProjectHtml({ title: 't' }, page))
  expect(fastest(10, () => renderProjectHtml({ title: 't' }, larger)) / ms).toBeLessThan(40)
})
