import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Origin } from '#log-format/entry.js'
import { keys } from '#log-format/keys.js'
import type { MetadataValue } from '#log-format/values.js'
import { Changelog } from '#server/storage/changelog.js'
import { Database } from '#server/storage/database.js'
import type { Projection } from '#server/storage/projection.js'
import { rebuildRows } from '#server/storage/rebuild.js'
import { Storage } from '#server/storage/storage.js'

export interface FoldMeasure {
  readonly entries: number
  readonly entriesPerSecond: number
  /** From opening a closed store of that many entries to the first value read. */
  readonly firstAnswerMs: number
}

/** Times folding a log of metadata entries of ordinary size from serial 0, and opening the store that has it. */
export async function measureFold(input: { readonly entries: number; readonly projections?: readonly Projection[] }): Promise<FoldMeasure> {
  const { entries, projections = [] } = input
  const folder = await mkdtemp(join(tmpdir(), 'measure-fold-'))
  try {
    await fillWithVersions({ folder, projections, entries })
    const firstAnswerMs = await timeFirstAnswer(folder, projections)
    const seconds = await timeRebuild(folder, projections)
    return { entries, entriesPerSecond: Math.round(entries / seconds), firstAnswerMs }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function timeFirstAnswer(folder: string, projections: readonly Projection[]): Promise<number> {
  const start = performance.now()
  await using storage = await Storage.open({ folder, projections })
  if ((await storage.reader().get(metadataKey(0))) === undefined) throw new Error('the first version is missing')
  return Math.round(performance.now() - start)
}

async function timeRebuild(folder: string, projections: readonly Projection[]): Promise<number> {
  const db = await Database.open(join(folder, 'db'))
  try {
    const entries = await Changelog.open(db)
    const start = performance.now()
    await rebuildRows({ db, entries, projections })
    return (performance.now() - start) / 1000
  } finally {
    await db.close()
  }
}

/** Writes one entry for each version, many waiting together as under load. */
async function fillWithVersions(input: {
  readonly folder: string
  readonly projections: readonly Projection[]
  readonly entries: number
}): Promise<void> {
  await using storage = await Storage.open(input)
  await registerVersions(storage, input.entries)
}

/** Entries of ordinary size, each with the metadata of one version. */
export async function registerVersions(storage: Storage, entries: number): Promise<void> {
  const together = 512
  for (let start = 0; start < entries; start += together) {
    const count = Math.min(together, entries - start)
    await Promise.all(Array.from({ length: count }, (_, at) => registerVersion(storage, start + at)))
  }
}

async function registerVersion(storage: Storage, number: number): Promise<void> {
  const { project, version } = nameOf(number)
  await storage.transact(originOf(number), (tx) => {
    tx.set(metadataKey(number), metadataValue(number))
    tx.record({ kind: 'version-registered', user: 'alice', index: 'prod', project, version })
    return Promise.resolve()
  })
}

const VERSIONS_OF_A_PROJECT = 40

function nameOf(number: number): { project: string; version: string } {
  return {
    project: `project-${Math.floor(number / VERSIONS_OF_A_PROJECT)}`,
    version: `1.${number % VERSIONS_OF_A_PROJECT}.0`,
  }
}

function metadataKey(number: number) {
  return keys.metadata({ user: 'alice', index: 'prod', ...nameOf(number) })
}

function originOf(number: number): Origin {
  return { time: 1_700_000_000_000 + number, actor: 'alice', via: 'token', request: `request-${number}` }
}

/** About 1 kB of core metadata, with a short description. */
function metadataValue(number: number): MetadataValue {
  const { project, version } = nameOf(number)
  return {
    metadata_version: '2.1',
    name: project,
    version,
    summary: 'A library that does one thing and does it well enough to be measured',
    description: `${project} reads things, turns them into other things and writes them down again. `.repeat(4),
    description_content_type: 'text/markdown',
    keywords: 'things, reading, writing',
    home_page: `https://example.com/${project}`,
    download_url: '',
    author: 'Alice Example',
    author_email: 'alice@example.com',
    maintainer: '',
    maintainer_email: '',
    license: 'MIT',
    platform: [],
    classifiers: [
      'Development Status :: 5 - Production/Stable',
      'License :: OSI Approved :: MIT License',
      'Programming Language :: Python :: 3',
    ],
    requires_python: '>=3.9',
    requires_dist: ['typing-extensions>=4.0', 'requests>=2.28,<3', "pytest>=7; extra == 'test'"],
    provides_extra: ['test'],
    project_urls: [`Source, https://example.com/${project}/source`, `Documentation, https://example.com/${project}/docs`],
  }
}
