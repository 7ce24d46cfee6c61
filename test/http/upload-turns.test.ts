import type { EventLoopUtilization } from 'node:perf_hooks'
import { UploadTurns } from '#server/http/upload-turns.js'

/** ms; of the clock, and of the time in which the thread was busy. */
let nowMs: number
let busyMs: number
let pages: number
let waits: number[]
let turns: UploadTurns

beforeEach(() => {
  nowMs = 5000
  busyMs = 400
  pages = 100_000
  waits = []
  turns = new UploadTurns({
    pages: () => pages,
    now: () => nowMs,
    utilization: (before) => utilization(before),
    wait: (ms) => { waits.push(ms); return Promise.resolve() },
  })
})

function utilization(before?: EventLoopUtilization): EventLoopUtilization {
  const active = busyMs - (before?.active ?? 0)
  const idle = nowMs - busyMs - (before?.idle ?? 0)
  return { active, idle, utilization: active / (active + idle) }
}

/** Time goes on, while so many pages are sent. */
function pass(ms: number, { busy, sent }: { readonly busy: number; readonly sent: number }): void {
  nowMs += ms
  busyMs += ms * busy
  pages += sent
}

async function takeTurns(count: number): Promise<number[]> {
  waits = []
  for (let turn = 0; turn < count; turn += 1) await turns.take()
  return waits
}

test.each([
  ['nobody asks for anything', { busy: 0, sent: 0 }],
  ['pages leave time to spare', { busy: 0.55, sent: 2000 }],
  ['it is busy, and not with pages', { busy: 1, sent: 8 }],
])('uploads begin at once while %s', async (_, load) => {
  for (let window = 0; window < 5; window += 1) {
    pass(120, load)
    expect(await takeTurns(3)).toEqual([])
  }
  expect(turns.counts.heldBack).toBe(0)
})

test('while pages keep the server busy, uploads begin 50 ms apart', async () => {
  pass(120, { busy: 0.95, sent: 2000 })
  expect(await takeTurns(4)).toEqual([50, 100, 150])
  pass(160, { busy: 0.95, sent: 2000 })
  expect(await takeTurns(2)).toEqual([40, 90])
  expect(turns.counts.heldBack).toBe(5)
})

test('one that comes later than its turn does not wait', async () => {
  pass(120, { busy: 0.95, sent: 2000 })
  expect(await takeTurns(1)).toEqual([])
  pass(60, { busy: 0.95, sent: 1000 })
  expect(await takeTurns(1)).toEqual([])
})

test('nobody waits longer than two seconds, however many there are', async () => {
  pass(120, { busy: 0.95, sent: 20_000 })
  const all = await takeTurns(100)
  expect(all).toHaveLength(99)
  expect(Math.max(...all)).toBe(2000)
})

test('what it saw is forgotten when the pages get fewer', async () => {
  pass(120, { busy: 0.95, sent: 2000 })
  expect(await takeTurns(2)).toEqual([50])
  pass(120, { busy: 0.3, sent: 100 })
  expect(await takeTurns(3)).toEqual([])
})

test('what pages did before a pause without uploads keeps back none after it', async () => {
  pass(3_600_000, { busy: 0.95, sent: 20_000_000 })
  pass(600_000, { busy: 0.01, sent: 10 })
  expect(await takeTurns(100)).toEqual([])
  pass(120, { busy: 0.95, sent: 2000 })
  expect(await takeTurns(2)).toEqual([50])
})

test('looks at its own thread and clock when nothing else is said', async () => {
  const own = new UploadTurns({ pages: () => (pages += 1000) })
  await own.take()
  const start = performance.now()
  while (performance.now() - start < 150); // is busy
  await own.take()
  await own.take()
  expect(own.counts.heldBack).toBe(1)
  expect(performance.now() - start).toBeGreaterThan(150 + 45)
})
