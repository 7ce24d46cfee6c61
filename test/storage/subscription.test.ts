import { CommitSignal } from '#server/storage/commit-signal.js'
import { NO_SERIAL, toSerial } from '#log-format/serial.js'
import type { Storage } from '#server/storage/storage.js'
import { subscribe } from '#server/storage/subscription.js'
import { allRows, openStorage, origin, setProject, someMutation, tempFolder } from './temp-storage.js'

/** Subscribes until the entry with the serial was handled. */
async function handleUntil(storage: Storage, last: number, seen: number[]): Promise<void> {
  const stop = new AbortController()
  await subscribe(
    storage,
    'mailer',
    (entry) => {
      seen.push(entry.serial)
      if (entry.serial === last) stop.abort()
      return Promise.resolve()
    },
    stop.signal,
  )
}

test('a subscriber gets every entry in order, those before it and those to come', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  await setProject(storage, 'a', 0)
  const seen: number[] = []
  const done = handleUntil(storage, 250, seen)
  for (let number = 1; number <= 250; number += 1) void setProject(storage, 'a', number)
  await done
  expect(seen).toEqual(Array.from({ length: 251 }, (_, at) => at))
})

test('a subscriber goes on from its cursor after a restart', async () => {
  await using folder = await tempFolder()
  const seen: number[] = []
  {
    await using storage = await openStorage(folder.path)
    await setProject(storage, 'a', 0)
    await setProject(storage, 'a', 1)
    await handleUntil(storage, 1, seen)
  }
  await using storage = await openStorage(folder.path)
  expect(storage.cursor('mailer')).toBe(1)
  expect(storage.cursor('somebody else')).toBe(NO_SERIAL)
  await setProject(storage, 'a', 2)
  await handleUntil(storage, 2, seen)
  expect(seen).toEqual([0, 1, 2])
})

test('an entry whose handler failed comes again', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  for (let number = 0; number < 4; number += 1) await setProject(storage, 'a', number)
  const failing = subscribe(
    storage,
    'mailer',
    (entry) => (entry.serial === 2 ? Promise.reject(new Error('mail server down')) : Promise.resolve()),
    new AbortController().signal,
  )
  await expect(failing).rejects.toThrow('mail server down')
  const seen: number[] = []
  await handleUntil(storage, 3, seen)
  expect(seen).toEqual([2, 3])
})

test('a subscription that waits ends when it is aborted', async () => {
  await using folder = await tempFolder()
  await using storage = await openStorage(folder.path)
  const stop = new AbortController()
  const waiting = subscribe(storage, 'mailer', () => Promise.resolve(), stop.signal)
  stop.abort()
  await waiting
})

test('the signal wakes whoever waits for the serial or one before it', async () => {
  const signal = new CommitSignal(toSerial(1))
  await signal.reached(toSerial(1))
  const woken: number[] = []
  const waiting = [2, 3, 4].map((serial) => signal.reached(toSerial(serial)).then(() => woken.push(serial)))
  signal.moveTo(toSerial(3))
  await Promise.all(waiting.slice(0, 2))
  expect(woken).toEqual([2, 3])
  signal.moveTo(toSerial(4))
  await waiting[2]
})

test('waiting for a serial rejects with the reason of the abort', async () => {
  const signal = new CommitSignal(NO_SERIAL)
  const stop = new AbortController()
  const waiting = signal.reached(toSerial(0), stop.signal)
  stop.abort(new Error('client left'))
  await expect(waiting).rejects.toThrow('client left')
  await expect(signal.reached(toSerial(0), stop.signal)).rejects.toThrow('client left')
})

test('a secret is written with its entry and stands in no other row', async () => {
  await using folder = await tempFolder()
  {
    await using storage = await openStorage(folder.path)
    const change = (secret: string | undefined) =>
      storage.transact(origin(), (tx) => {
        if (secret === undefined) tx.secrets.delete('user\0alice')
        else tx.secrets.set('user\0alice', secret)
        expect(tx.secrets.get('user\0alice')).toBe(secret)
        tx.record(someMutation)
        return Promise.resolve()
      })
    expect(await Promise.all([change('first-hash'), change('gone-hash')])).toMatchObject([{ serial: 0 }, { serial: 1 }])
    expect(storage.vault.get('user\0alice')).toBe('gone-hash')
    await change(undefined)
    expect(storage.vault.get('user\0alice')).toBeUndefined()
    expect(await change('last-hash')).toMatchObject({ serial: 3, changed: true })
  }
  const elsewhere = JSON.stringify(await allRows(folder.path, 'cekmop'))
  expect(elsewhere).not.toContain(Buffer.from('-hash').toString('hex'))
  expect(JSON.stringify(await allRows(folder.path, 's'))).toContain(Buffer.from('last-hash').toString('hex'))
})
