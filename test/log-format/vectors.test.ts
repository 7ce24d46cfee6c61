import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { digestHex, EMPTY_CHAIN, extendChain } from '#log-format/chain.js'
import { decodeEntry, encodeEntry } from '#log-format/codec.js'
import { readVectors } from '#scripts/vectors.js'
import { ROOT } from '#test/support/child-server.js'

const vectors = readVectors()

test('every vector is read, written again to the same bytes, and continues the log', () => {
  expect(vectors.length).toBeGreaterThan(20)
  let head = EMPTY_CHAIN
  for (const { name, entry, hex, digest } of vectors) {
    const bytes = Buffer.from(hex, 'hex')
    const read = decodeEntry(bytes)
    expect({ name, entry: JSON.parse(JSON.stringify({ ...read, parent: digestHex(read.parent) })) }).toEqual({ name, entry })
    expect(Buffer.from(encodeEntry(read)).toString('hex')).toBe(hex)
    head = extendChain(head, read, bytes)
    expect(digestHex(head.digest)).toBe(digest)
  }
})

const hasPython = spawnSync('python3', ['--version']).status === 0

;(hasPython ? test : test.skip)('a reader in another language, written from the README, agrees', () => {
  const reader = join(ROOT, 'test/log-format/reader.py')
  const { status, stdout, stderr } = spawnSync('python3', [reader, join(ROOT, 'log-format/vectors/version-1.json')], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toBe(`${vectors.length} entries read\n`)
})
