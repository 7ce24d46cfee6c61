import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { checkTidiness } from '#scripts/tidy.js'

test('this repository keeps its own rules', async () => {
  expect(await checkTidiness(join(import.meta.dirname, '../../..'))).toEqual([])
})

test.each<[string, Record<string, string>]>([
  ['a lower floor', { 'server/http/app.ts': `import { x } from '#server/storage/open.js'` }],
  ['the own folder', { 'server/http/app.ts': `import { x } from './routes/users.js'` }],
  ['the client reads the log format', { 'cli/client.ts': `import type { X } from '#log-format/entry.js'` }],
  ['the public entry passes on', { 'log-format/index.ts': `export * from './entry.js'` }],
  ['words in comments and strings', { 'server/http/app.ts': `// any as unknown as process.env\nexport const x = 'import "#server/bin/a.js"'` }],
  ['tests may assert', { 'test/a.test.ts': `import { x } from '#server/bin/serve.js'\nx!.y as unknown as any` }],
  ['the process reads its environment', { 'server/process/config.ts': `export const x = process.env` }],
  ['400 lines', { 'server/http/app.ts': 'export const x = 1\n'.repeat(400) }],
])('allowed: %s', async (_name, tree) => {
  expect(await checkMadeUp(tree)).toEqual([])
})

test.each<[string, Record<string, string>, string]>([
  ['a higher floor', { 'server/storage/a.ts': `import { x } from '#server/http/app.js'` }, 'server/storage/a.ts: may not import server/http/app.ts'],
  ['a sibling', { 'server/commands/a.ts': `import { x } from '#server/projections/b.js'` }, 'server/commands/a.ts: may not import server/projections/b.ts'],
  ['a type', { 'server/auth/a.ts': `import type { X } from '../storage/b.js'` }, 'server/auth/a.ts: may not import server/storage/b.ts'],
  ['a dynamic import', { 'log-format/a.ts': `await import('#server/auth/b.js')` }, 'log-format/a.ts: may not import server/auth/b.ts'],
  ['a re-export', { 'log-format/a.ts': `export { x } from '#cli/b.js'\nexport const y = 1` }, 'log-format/a.ts: may not import cli/b.ts'],
  ['the client in the server', { 'cli/a.ts': `import { x } from '#server/packaging/b.js'` }, 'cli/a.ts: may not import server/packaging/b.ts'],
  ['scripts', { 'server/bin/a.ts': `import { x } from '#scripts/b.js'` }, 'server/bin/a.ts: may not import scripts/b.ts'],
  ['tests', { 'server/bin/a.ts': `import { x } from '#test/b.js'` }, 'server/bin/a.ts: may not import test/b.ts'],
  ['a folder without floor', { 'server/attic/a.ts': 'export const x = 1' }, 'server/attic/a.ts: server/attic has no floor'],
  ['401 lines', { 'cli/a.ts': 'export const x = 1\n'.repeat(401) }, 'cli/a.ts: 401 lines, 400 are allowed'],
  ['a barrel', { 'cli/a.ts': `export * from './b.js'` }, 'cli/a.ts: a barrel, import the file that has the thing'],
  ['camel case', { 'cli/openFile.ts': 'export const x = 1' }, 'cli/openFile.ts: file names are kebab-case'],
  ['utils', { 'cli/utils.ts': 'export const x = 1' }, 'cli/utils.ts: utils is a dumping ground, find the noun'],
  ['a folder of helpers', { 'cli/helpers/a.ts': 'export const x = 1' }, 'cli/helpers/a.ts: helpers is a dumping ground, find the noun'],
  ['the environment', { 'server/http/a.ts': '\nexport const x = process.env.HOME' }, 'server/http/a.ts: process.env is read by server/process alone (line 2)'],
  ['any', { 'cli/a.ts': 'export const x: any = 1' }, 'cli/a.ts: any (line 1)'],
  ['a cast through unknown', { 'cli/a.ts': 'export const x = 1 as unknown as string' }, 'cli/a.ts: as unknown as (line 1)'],
  ['non-null', { 'cli/a.ts': 'export const x = [1][0]!' }, 'cli/a.ts: non-null ! (line 1)'],
  [
    'a cycle',
    { 'cli/a.ts': `import './b.js'`, 'cli/b.ts': `import './c.js'`, 'cli/c.ts': `import type { X } from '#cli/a.js'` },
    'cli/a.ts: import cycle cli/a.ts → cli/b.ts → cli/c.ts → cli/a.ts',
  ],
])('a breach: %s', async (_name, tree, breach) => {
  expect(await checkMadeUp(tree)).toEqual([breach])
})

async function checkMadeUp(tree: Record<string, string>): Promise<string[]> {
  const root = await mkdtemp(join(tmpdir(), 'tidy-'))
  try {
    for (const [path, text] of Object.entries(tree)) {
      await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(join(root, path), text)
    }
    return await checkTidiness(root)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
