import { keys } from '#log-format/keys.js'
import { secretNames } from '#server/storage/vault.js'
import { Storage } from '#server/storage/storage.js'
import { main as diff } from '#scripts/log-diff.js'
import { main as dump } from '#scripts/log-dump.js'
import { tempFolder } from '../storage/temp-storage.js'

async function writeLog(folder: string, titles: readonly string[]): Promise<void> {
  await using storage = await Storage.open({ folder, projections: [] })
  for (const [at, title] of titles.entries()) {
    await storage.transact({ time: 1000 + at, actor: 'alice', via: 'token', request: `r${at}` }, (tx) => {
      tx.set(keys.user({ user: 'alice' }), { created: 1, title })
      tx.secrets.set(secretNames.user('alice'), { verifier: `hash of ${title}`, id: 'x' })
      tx.record({ kind: 'user-modified', user: 'alice', fields: ['title', 'password'] })
      return Promise.resolve()
    })
  }
}

async function output(run: (print: (text: string) => void) => Promise<number>): Promise<{ text: string; code: number }> {
  let text = ''
  const code = await run((more) => (text += more))
  return { text, code }
}

test('log-dump tells what happened, and no secret', async () => {
  await using folder = await tempFolder()
  await writeLog(folder.path, ['one', 'two', 'three'])
  const { text, code } = await output((print) => dump(['--serverdir', folder.path, '--from', '1'], print))
  expect(code).toBe(0)
  expect(text).toContain('1 1970-01-01T00:00:01.001Z')
  expect(text).toContain('alice (token) changed title, password of user alice')
  expect(text).toContain('+ alice/.config {"created":1,"title":"three"}')
  expect(text).not.toContain('"one"')
  expect(text).not.toContain('hash of')

  const json = await output((print) => dump(['--serverdir', folder.path, '--to', '0', '--json'], print))
  expect(JSON.parse(json.text)).toMatchObject({ serial: 0, actor: 'alice', parent: '00'.repeat(32) })
})

test('log-diff names the first serial that differs', async () => {
  await using a = await tempFolder()
  await using b = await tempFolder()
  await using c = await tempFolder()
  await writeLog(a.path, ['one', 'two', 'three'])
  await writeLog(b.path, ['one', 'other', 'three'])
  await writeLog(c.path, ['one', 'two'])
  const parted = await output((print) => diff([a.path, b.path], print))
  expect(parted.text).toContain('the logs part at serial 1')
  expect(parted.code).toBe(1)
  expect((await output((print) => diff([a.path, c.path], print))).text).toBe(
    `the logs are the same up to serial 1; ${a.path} has 1 entries more\n`,
  )
})

test.each([
  ['an unknown option', ['--frm', '1']],
  ['a folder without a log', ['--serverdir', '/nowhere']],
  ['no number', ['--serverdir', '.', '--from', 'x']],
])('log-dump refuses %s', async (_, argv) => {
  expect((await output((print) => dump(argv, print))).code).toBe(2)
})
