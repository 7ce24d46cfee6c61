import { toSerial } from '#log-format/serial.js'
import { readSecretLines, secretLines } from '#server/replication/secret-lines.js'
import type { SecretRow } from '#server/storage/vault-changes.js'

const ROWS: SecretRow[] = [
  { name: 'user\0ada', secret: { verifier: '$argon2id$…', id: 'x' } },
  { name: 'user\0ünï\u{1f600}', secret: undefined },
  ...Array.from({ length: 600 }, (_, at) => ({ name: `token\0${at}`, secret: at })),
]

async function* inPieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
}

async function* batchesOf(rows: readonly SecretRow[]): AsyncGenerator<readonly SecretRow[]> {
  yield await Promise.resolve(rows)
}

async function written(): Promise<string> {
  let text = ''
  for await (const line of secretLines({ serial: toSerial(7), isComplete: true, batches: batchesOf(ROWS) })) text += line
  return text
}

async function read(text: string, size = 4096): Promise<SecretRow[]> {
  const { batches } = await readSecretLines(inPieces(text, size))
  const rows: SecretRow[] = []
  for await (const batch of batches) rows.push(...batch)
  return rows
}

test.each([1, 3, 1000, 1e6])('are read as they were written, in pieces of %i bytes', async (size) => {
  const text = await written()
  expect(await readSecretLines(inPieces(text, size))).toMatchObject({ serial: 7, isComplete: true })
  expect(await read(text, size)).toEqual(ROWS)
})

test('every cut is noticed', async () => {
  const text = await written()
  for (let length = 0; length < text.length - 1; length += 97) await expect(read(text.slice(0, length))).rejects.toThrow()
  await expect(read(text.slice(0, -1))).rejects.toThrow('cut off')
})

test.each([
  ['nothing', ''],
  ['a page', '<html>\n'],
  ['no serial', '{"complete":true}\n{"end":true}\n'],
  ['a serial that is none', '{"serial":"1","complete":true}\n{"end":true}\n'],
  ['a row without a name', '{"serial":1,"complete":true}\n["",1]\n{"end":true}\n'],
  ['a row of one', '{"serial":1,"complete":true}\n["a"]\n{"end":true}\n'],
  ['more behind the end', '{"serial":1,"complete":true}\n{"end":true}\n["a",1]\n'],
  ['a line that never ends', `{"serial":1,"complete":true}\n["a","${'x'.repeat(70_000)}`],
  ['no JSON', 'ÿ\n'],
])('%s is refused, without a word of what was sent', async (_, text) => {
  const error = await read(text).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(Error)
  expect(String(error)).not.toMatch(/html|xxx/)
})
