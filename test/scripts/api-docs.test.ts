import { readFileSync } from 'node:fs'
import { API_DOCS, anchorOf, apiDocs } from '#scripts/api-docs.js'
import { OPERATIONS } from '#server/http/api-description/all.js'

const text = readFileSync(API_DOCS, 'utf8')

test('docs/api.md is what the descriptions of the routes make: if not, run `npm run api-docs`', () => {
  expect(text).toBe(apiDocs())
})

test('every link leads somewhere, and every heading is led to alone', () => {
  const anchors = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => anchorOf(title))
  const links = [...text.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = '']) => anchor)
  expect(links.filter((link) => !anchors.includes(link))).toEqual([])
  expect(anchors.filter((anchor, at) => anchors.indexOf(anchor) !== at)).toEqual([])
})

test('every operation is there with its address', () => {
  for (const { method, path, alsoAt = [] } of OPERATIONS) {
    for (const address of [path, ...alsoAt]) expect(text).toContain(`\n${method} ${address}\n`)
  }
})

test('tables have as many cells in each row', () => {
  const tables = text.split('\n\n').filter((part) => part.startsWith('|'))
  for (const table of tables) {
    const cells = table.trimEnd().split('\n').map((row) => row.replaceAll('\\|', '').split('|').length)
    expect([table.slice(0, 60), new Set(cells).size]).toEqual([table.slice(0, 60), 1])
  }
})
