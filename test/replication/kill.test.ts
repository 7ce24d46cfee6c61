import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startChild } from '#test/support/child-server.js'
import { until } from '#test/support/replica.js'
import { startServer, type TestServer } from '#test/support/server.js'

const ROUNDS = 2

interface Head {
  readonly serial: number
  readonly digest: string
}

async function headAt(url: string): Promise<Head> {
  const reply = await fetch(`${url}/+status`, { headers: { Accept: 'application/json', Connection: 'close' } })
  const { result } = (await reply.json()) as { result: Head }
  return { serial: result.serial, digest: result.digest }
}

test('a replica process that is killed while it follows goes on where it was, and ends with the digest of its primary', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'devpi-killed-replica-'))
  try {
    await using primary: TestServer = await startServer()
    const alice = await primary.signUp('alice')
    const secretFile = join(primary.serverDir, '.secret')
    let options = ['--role', 'replica', '--primary-url', primary.url, '--secretfile', secretFile]
    let written = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const replica = await startChild(join(folder, 'replica'), options)
      expect(replica.readyLine).toContain('role=replica')
      const writing = (async () => {
        for (let at = 0; at < 30; at += 1) await alice.put(`/alice/i${(written += 1)}`, {})
      })()
      const before = (await headAt(replica.url)).serial
      await until(async () => (await headAt(replica.url)).serial > before + 5)
      await replica.kill()
      await writing
      options = ['--secretfile', secretFile] // the serverdir knows the rest
    }
    await using replica = await startChild(join(folder, 'replica'), options)
    await until(async () => (await headAt(replica.url)).serial === primary.head())
    expect(await headAt(replica.url)).toEqual(await headAt(primary.url))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 60_000)

test('a serverdir that has entries of its own does not start as a replica of who does not know them, nor one without a secret or a primary', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'devpi-no-replica-'))
  try {
    const own = join(folder, 'own')
    await (await startServer({ serverDir: own })).stop()
    await expect(startChild(own, ['--role', 'replica', '--primary-url', 'http://127.0.0.1:9'])).rejects.toThrow('cannot be asked what of the entries of this serverdir it has')
    await expect(startChild(join(folder, 'a'), ['--role', 'replica', '--primary-url', 'http://127.0.0.1:9'])).rejects.toThrow('a replica needs a copy of that of its primary')
    await expect(startChild(join(folder, 'b'), ['--role', 'replica'])).rejects.toThrow('a replica needs the address of its primary')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 60_000)
