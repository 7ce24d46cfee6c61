import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Origin } from '#log-format/entry.js'
import { keys } from '#log-format/keys.js'
import { type Serial, toSerial } from '#log-format/serial.js'
import type { LinkValue } from '#log-format/values.js'
import { Storage } from '#server/storage/storage.js'
import type { Transaction } from '#server/storage/transaction.js'

export interface ScanMeasure {
  readonly links: number
  /** How many entries the log grew by since the serial that is scanned. */
  readonly entriesBack: number
  /** Milliseconds for one scan of all links, decoded: the median of several. */
  readonly headMs: number
  readonly pastMs: number
}

const REPEATS = 15

/**
 * Times scanning all links of a project at head, and at a serial from before
 * `entriesBack` other entries, since when every link has changed once.
 */
export async function measureScan(input: { readonly links: number; readonly entriesBack: number }): Promise<ScanMeasure> {
  const { links, entriesBack } = input
  const folder = await mkdtemp(join(tmpdir(), 'measure-scan-'))
  try {
    await using storage = await Storage.open({ folder, projections: [] })
    const { serial } = await setLinks(storage, links, undefined)
    await growLog(storage, entriesBack)
    await setLinks(storage, links, 'withdrawn')
    return {
      links,
      entriesBack,
      headMs: await medianMs(() => scanLinks(storage, storage.head.serial, links)),
      pastMs: await medianMs(() => scanLinks(storage, serial, links)),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function medianMs(work: () => Promise<void>): Promise<number> {
  const times: number[] = []
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    const start = performance.now()
    await work()
    times.push(performance.now() - start)
  }
  const median = times.sort((a, b) => a - b)[Math.floor(REPEATS / 2)] ?? 0
  return Math.round(median * 10) / 10
}

async function scanLinks(storage: Storage, serial: Serial, wanted: number): Promise<void> {
  let count = 0
  for await (const link of storage.reader(toSerial(serial)).scan(keys.link.under('alice', 'prod', 'demo'))) {
    if (link.value.rel === 'releasefile') count += 1
  }
  if (count !== wanted) throw new Error(`${count} links were scanned, not ${wanted}`)
}

const origin: Origin = { time: 1_700_000_000_000, actor: 'alice', via: 'token', request: 'measure' }

function setLinks(storage: Storage, count: number, yanked: string | undefined) {
  return storage.transact(origin, (tx) => {
    for (let number = 0; number < count; number += 1) setLink(tx, number, yanked)
    tx.record({ kind: 'file-yanked', user: 'alice', index: 'prod', project: 'demo', version: '1.0' })
    return Promise.resolve()
  })
}

function setLink(tx: Transaction, number: number, yanked: string | undefined): void {
  const version = `1.${Math.floor(number / 4)}`
  const basename = `demo-${version}-cp3${number % 4}-none-any.whl`
  const value: LinkValue = {
    rel: 'releasefile',
    sha256: number.toString(16).padStart(64, '0'),
    size: 100_000 + number,
    dir: `abc/${number.toString(16).padStart(13, '0')}`,
    time: origin.time,
    order: number,
    log: [{ what: 'upload', who: 'alice', when: origin.time, dst: 'alice/prod' }],
    requiresPython: '>=3.9',
    coreMetadata: { sha256: number.toString(16).padStart(64, 'f'), size: 2000 },
    ...(yanked !== undefined && { yanked }),
  }
  tx.set(keys.link({ user: 'alice', index: 'prod', project: 'demo', version, basename }), value)
}

async function growLog(storage: Storage, entries: number): Promise<void> {
  const together = 512
  for (let start = 0; start < entries; start += together) {
    const count = Math.min(together, entries - start)
    await Promise.all(Array.from({ length: count }, (_, at) => setProject(storage, start + at)))
  }
}

async function setProject(storage: Storage, number: number): Promise<void> {
  const project = `project-${number % 5000}`
  await storage.transact(origin, (tx) => {
    tx.set(keys.project({ user: 'alice', index: 'prod', project }), { name: project, created: number })
    tx.record({ kind: 'project-removed', user: 'alice', index: 'prod', project })
    return Promise.resolve()
  })
}
