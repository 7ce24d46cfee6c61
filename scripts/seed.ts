import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { NO_SERIAL } from '#log-format/serial.js'
import { PasswordHasher } from '#server/auth/passwords.js'
import { hashingCosts, readConfig, type ServerConfig } from '#server/process/config.js'
import { initialiseStorage, openStorage } from '#server/process/initialise.js'
import { openLogger } from '#server/process/logger.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import type { Storage } from '#server/storage/storage.js'
import { ArgumentFault, readArguments, runScript, wholeNumber } from './arguments.js'
import { SeedPlan, type SeedSize } from './seed-parts/plan.js'
import { sow, type Sown } from './seed-parts/sow.js'

const USAGE =
  'npm run seed -- --serverdir DIR [--users 2] [--indexes 3, of each user] [--projects 5, on each index] ' +
  '[--versions 4, of each project] [--seed 1] [--time MS, of the first entry, the others a second apart]'

/** Of every user that the seed creates. */
export const SEEDED_PASSWORD = 'seeded'

/** More are a slip of the keyboard: as many files would take days and most of a disk. */
const MOST_RELEASES = 10_000_000

export interface SeedOutput {
  /** What came of it. */
  readonly print: (text: string) => unknown
  /** How far it is. */
  readonly tell: (text: string) => unknown
}

const TERMINAL: SeedOutput = {
  print: (text) => process.stdout.write(text),
  tell: (text) => process.stderr.write(text),
}

/**
 * Fills a server directory that no server uses with users, indexes, projects
 * and versions that pip can install. An empty one is initialised first. The
 * same arguments with `--time`, on empty folders, write the same log.
 */
export function main(argv: readonly string[], output: SeedOutput = TERMINAL): Promise<number> {
  return runScript(async () => {
    const { serverDir, plan, time } = readSeedArguments(argv)
    const config = await configOf(serverDir)
    await using storage = await openStorage(config, openLogger({ debug: false, format: 'text', write: output.tell }))
    const hasher = new PasswordHasher(hashingCosts(config))
    const nextTime = clock(time)
    if (storage.head.serial === NO_SERIAL) await initialiseStorage(storage, config, hasher, nextTime())
    await using blobs = await DiskBlobs.open(join(serverDir, 'files'))

    const start = performance.now()
    const sown = await sow(plan, {
      storage,
      blobs,
      // One hash for all: a strong one for each of a thousand users takes longer than all else.
      verifier: await hasher.hash(SEEDED_PASSWORD),
      nextTime,
      onProgress: progress(plan.releaseCount, output.tell),
    })
    output.print(summary({ plan, serverDir, storage, sown, seconds: (performance.now() - start) / 1000 }))
    return 0
  })
}

function readSeedArguments(argv: readonly string[]): { readonly serverDir: string; readonly plan: SeedPlan; readonly time: number | undefined } {
  const text = { type: 'string' } as const
  const options = { serverdir: text, users: text, indexes: text, projects: text, versions: text, seed: text, time: text }
  const { values, positionals } = readArguments(argv, options, USAGE)
  const [surplus] = positionals
  if (surplus !== undefined) throw new ArgumentFault(`nothing is known of ${surplus}\nusage: ${USAGE}`)
  if (values.serverdir === undefined || values.serverdir === '') throw new ArgumentFault(`--serverdir is missing\nusage: ${USAGE}`)
  const size: SeedSize = {
    users: wholeNumber('users', values.users, 2, 1),
    indexes: wholeNumber('indexes', values.indexes, 3, 1),
    projects: wholeNumber('projects', values.projects, 5, 1),
    versions: wholeNumber('versions', values.versions, 4, 1),
  }
  if (size.users * size.indexes * size.projects * size.versions > MOST_RELEASES) {
    throw new ArgumentFault(`users × indexes × projects × versions must not be more than ${MOST_RELEASES}`)
  }
  const plan = new SeedPlan(wholeNumber('seed', values.seed, 1), size)
  const time = values.time === undefined ? undefined : wholeNumber('time', values.time, 0)
  return { serverDir: resolve(values.serverdir), plan, time }
}

/** As `devpi-init` has it without options. Refuses a folder with other things in it. */
async function configOf(serverDir: string): Promise<ServerConfig> {
  const found = await readdir(serverDir).catch((error: unknown): string[] => {
    if (codeOf(error) === 'ENOENT') return []
    throw new ArgumentFault(`${serverDir} cannot be used as a server directory (${codeOf(error)})`)
  })
  if (found.length > 0 && !found.includes('db')) {
    throw new ArgumentFault(`${serverDir} is neither empty nor a server directory; choose another --serverdir`)
  }
  const invocation = readConfig({ program: 'devpi-init', argv: ['--serverdir', serverDir], env: {}, readFile: () => undefined })
  if (invocation.kind !== 'run') throw new ArgumentFault(`${serverDir} is no name for a folder`)
  return invocation.config
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown'
}

function clock(start: number | undefined): () => number {
  if (start === undefined) return Date.now
  let next = start - 1000
  return () => (next += 1000)
}

/** Tells every tenth of the way. */
function progress(total: number, tell: SeedOutput['tell']): (done: number) => void {
  const start = performance.now()
  let told = 0
  return (done) => {
    const tenth = Math.floor((10 * done) / total)
    if (tenth === told) return
    told = tenth
    tell(`seed: ${done} of ${total} versions, ${perSecond(done, (performance.now() - start) / 1000)}\n`)
  }
}

interface Outcome {
  readonly plan: SeedPlan
  readonly serverDir: string
  readonly storage: Storage
  readonly sown: Sown
  readonly seconds: number
}

function summary({ plan, serverDir, storage, sown, seconds }: Outcome): string {
  const { users, indexes, projects, versions, files } = sown
  const { batches, entries } = storage.writeCounts
  const { user, index, project } = plan.sample
  return [
    `added ${users} users, ${indexes} indexes, ${projects} projects, ${versions} versions with ${files} files to ${serverDir}, serial ${storage.head.serial}`,
    `${files} files in ${seconds.toFixed(1)} s, ${perSecond(files, seconds)}; ${entries} entries in ${batches} synced batches`,
    `each seeded user, ${user} for one, has the password ${SEEDED_PASSWORD}; after npm start -- --serverdir ${serverDir}:`,
    `pip install --index-url http://localhost:3141/${user}/${index}/+simple/ ${project}`,
    '',
  ].join('\n')
}

function perSecond(count: number, seconds: number): string {
  return `${Math.round(count / Math.max(seconds, 0.001))} a second`
}
