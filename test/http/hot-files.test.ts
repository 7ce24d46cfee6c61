import { HotFiles } from '#server/http/hot-files.js'
import type { OpenBlob } from '#server/storage/blob-store.js'
import { openBytes } from '#server/storage/open-blob.js'

const MB = 1024 * 1024

/** A file that tells how often it was opened, and when the last reading of it is over. */
function file(sha256: string, size: number) {
  const state = { opened: 0, closed: Promise.resolve() }
  const open = (): Promise<OpenBlob> => {
    state.opened += 1
    const blob = openBytes(Buffer.alloc(size, sha256))
    let done: () => void = () => undefined
    state.closed = new Promise((resolve) => (done = resolve))
    return Promise.resolve({ ...blob, close: async () => done() })
  }
  return { sha256, size, open, state }
}

function clock() {
  const time = { ms: 0 }
  return { time, now: () => time.ms }
}

async function ask(hot: HotFiles, wanted: ReturnType<typeof file>, times: number): Promise<(number | undefined)[]> {
  const found: (number | undefined)[] = []
  for (let at = 0; at < times; at += 1) {
    found.push(hot.get(wanted, wanted.open)?.length)
    await wanted.state.closed
    await new Promise(setImmediate)
  }
  return found
}

test('the third request within the time has a file read, once, for those that follow', async () => {
  using hot = new HotFiles(clock())
  const large = file('a', MB)
  expect(await ask(hot, large, 5)).toEqual([undefined, undefined, undefined, MB, MB])
  expect(large.state.opened).toBe(1)
  expect(hot.bytes).toBe(MB)
})

test('requests far apart do not count together', async () => {
  const { time, now } = clock()
  using hot = new HotFiles({ now })
  const large = file('a', MB)
  for (let round = 0; round < 5; round += 1) {
    expect(await ask(hot, large, 2)).toEqual([undefined, undefined])
    time.ms += 20_001
  }
  expect(large.state.opened).toBe(0)
})

test('what nobody asks for any more is dropped', async () => {
  const { time, now } = clock()
  using hot = new HotFiles({ now })
  const [a, b] = [file('a', MB), file('b', MB)]
  await ask(hot, a, 4)
  time.ms += 15_000
  await ask(hot, b, 4)
  time.ms += 15_000
  hot.dropCold()
  expect(hot.bytes).toBe(MB)
  expect(await ask(hot, b, 1)).toEqual([MB])
  expect(await ask(hot, a, 1)).toEqual([undefined])
})

test('no more is held than there is room for, and no file that is too large', async () => {
  const { time, now } = clock()
  using hot = new HotFiles({ now })
  const files = ['a', 'b', 'c', 'd'].map((sha256) => file(sha256, 20 * MB))
  for (const each of files) await ask(hot, each, 5)
  expect(hot.bytes).toBe(40 * MB)
  expect(files.map(({ state }) => state.opened)).toEqual([1, 1, 0, 0])
  const huge = file('e', 33 * MB)
  await ask(hot, huge, 5)
  expect(huge.state.opened).toBe(0)
  time.ms += 20_001
  expect(await ask(hot, files[2]!, 4)).toEqual([undefined, undefined, undefined, 20 * MB])
  expect(hot.bytes).toBe(20 * MB)
})

test.each<[string, () => Promise<OpenBlob | undefined>]>([
  ['is gone', () => Promise.resolve(undefined)],
  ['cannot be read', () => Promise.reject(new Error('EIO'))],
  ['is shorter than it was', () => Promise.resolve(openBytes(Buffer.alloc(5)))],
])('a file that %s is left to those who stream it', async (_, open) => {
  using hot = new HotFiles(clock())
  for (let at = 0; at < 4; at += 1) {
    expect(hot.get({ sha256: 'a', size: MB }, open)).toBeUndefined()
    await new Promise(setImmediate)
  }
  expect(hot.bytes).toBe(0)
})
