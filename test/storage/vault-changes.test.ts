import { NO_SERIAL, toSerial } from '#log-format/serial.js'
import type { Storage } from '#server/storage/storage.js'
import type { SecretRow, SecretsSince } from '#server/storage/vault-changes.js'
import { Random } from '#test/support/random.js'
import { allRows, openStorage, origin, projectKey, project, someMutation, tempFolder, type TempFolder } from './temp-storage.js'

const NAMES = ['user\0ada', 'user\0bob', 'user\0\u{1f600}', 'user\0\uff5e', 'token\0aa', 'upstream\0root\0pypi']

/** Sets or deletes some secrets in one entry; without any it changes a project. */
async function change(storage: Storage, secrets: readonly (readonly [string, number | undefined])[]): Promise<void> {
  await storage.transact(origin(), (tx) => {
    for (const [name, value] of secrets) {
      if (value === undefined) tx.secrets.delete(name)
      else tx.secrets.set(name, { value })
    }
    if (secrets.length === 0) tx.set(projectKey('demo'), project(storage.head.serial))
    tx.record(someMutation)
    return Promise.resolve()
  })
}

async function rowsOf({ batches }: SecretsSince): Promise<SecretRow[]> {
  const rows: SecretRow[] = []
  for await (const batch of batches) rows.push(...batch)
  return rows
}

const secretsIn = async (folder: TempFolder, name: string): Promise<[string, string][]> => allRows(`${folder.path}/${name}`, 's')
const openReplica = (folder: TempFolder, name: string): Promise<Storage> => openStorage(`${folder.path}/${name}`, { source: 'import' })

test('a replica that asks now and then has the secrets of its primary, and so has one that follows the replica', async () => {
  await using folder = await tempFolder()
  const seed = Date.now() % 1e9
  const random = new Random(seed)
  {
    await using primary = await openStorage(`${folder.path}/primary`)
    await using replica = await openReplica(folder, 'replica')
    await using second = await openReplica(folder, 'second')
    for (let step = 0; step < 80; step += 1) {
      const count = random.below(4)
      await change(primary, Array.from({ length: count }, () => [random.pick(NAMES), random.below(3) === 0 ? undefined : step] as const))
      if (random.below(3) === 0) await replica.importSecrets(primary.secretsSince(replica.secretsSerial))
      if (random.below(3) === 0) await second.importSecrets(replica.secretsSince(second.secretsSerial))
    }
    await replica.importSecrets(primary.secretsSince(replica.secretsSerial))
    await second.importSecrets(replica.secretsSince(second.secretsSerial))
    expect([replica.secretsSerial, second.secretsSerial]).toEqual([primary.head.serial, primary.head.serial])
  }
  const wanted = await secretsIn(folder, 'primary')
  expect([seed, await secretsIn(folder, 'replica')]).toEqual([seed, wanted])
  expect([seed, await secretsIn(folder, 'second')]).toEqual([seed, wanted])
})

test('only what changed is told, as it is now, and what is gone', async () => {
  await using folder = await tempFolder()
  await using primary = await openStorage(`${folder.path}/primary`)
  await change(primary, [['user\0ada', 1], ['user\0bob', 2]])
  await change(primary, [['user\0ada', 3]])
  await change(primary, [])
  await change(primary, [['user\0ada', undefined]])
  const told = primary.secretsSince(toSerial(1))
  expect(told).toMatchObject({ serial: 3, isComplete: false })
  expect(await rowsOf(told)).toEqual([{ name: 'user\0ada', secret: undefined }])
  expect(await rowsOf(primary.secretsSince(toSerial(3)))).toEqual([])
})

test.each([
  ['that has none', NO_SERIAL],
  ['that is ahead of the log', toSerial(99)],
])('a replica %s is told all there are, and forgets the others', async (_, since) => {
  await using folder = await tempFolder()
  {
    await using primary = await openStorage(`${folder.path}/primary`)
    await using other = await openStorage(`${folder.path}/other`)
    await using replica = await openReplica(folder, 'replica')
    await change(other, NAMES.map((name) => [name, 1] as const))
    await replica.importSecrets(other.secretsSince(NO_SERIAL))
    await change(primary, [['user\0bob', 2]])
    const told = primary.secretsSince(since)
    expect(told.isComplete).toBe(true)
    await replica.importSecrets(told)
    expect(replica.secretsSerial).toBe(0)
  }
  expect(await secretsIn(folder, 'replica')).toEqual(await secretsIn(folder, 'primary'))
})

test('what was cut off in the middle is asked for again', async () => {
  await using folder = await tempFolder()
  await using primary = await openStorage(`${folder.path}/primary`)
  await using replica = await openReplica(folder, 'replica')
  await change(primary, [['user\0ada', 1]])
  const cut = primary.secretsSince(NO_SERIAL)
  const batches = async function* (): AsyncGenerator<readonly SecretRow[]> {
    yield* cut.batches
    throw new Error('cut off')
  }
  await expect(replica.importSecrets({ ...cut, batches: batches() })).rejects.toThrow('cut off')
  expect(replica.secretsSerial).toBe(NO_SERIAL)
})

test('names out of order delete nothing', async () => {
  await using folder = await tempFolder()
  await using replica = await openReplica(folder, 'replica')
  const rows = [{ name: 'b', secret: 1 }, { name: 'a', secret: 2 }]
  const batches = async function* (): AsyncGenerator<readonly SecretRow[]> {
    yield await Promise.resolve(rows)
  }
  await expect(replica.importSecrets({ serial: toSerial(1), isComplete: true, batches: batches() })).rejects.toThrow('order')
})
