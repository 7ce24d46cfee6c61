import { constants, createReadStream, createWriteStream } from 'node:fs'
import { copyFile, lstat, mkdir, symlink } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type { Extract } from 'tar-stream'
import { Failure } from './failure.js'

type Member = Extract extends AsyncIterable<infer Entry> ? Entry : never

const MOST_BYTES = 4 * 2 ** 30
const MOST_MEMBERS = 200_000

/** Unpacks an sdist or wheel into a folder, until interrupted. Fails before anything would be written outside it, or too much. */
export async function unpack(archive: string, folder: string, interrupted: AbortSignal): Promise<void> {
  await mkdir(folder, { recursive: true })
  try {
    if (/\.(zip|whl)$/i.test(archive)) await unpackZip(archive, new Unpacking(archive, folder, interrupted))
    else await unpackTarGz(archive, new Unpacking(archive, folder, interrupted))
  } catch (error) {
    if (error instanceof Failure || interrupted.aborted) throw error
    throw new Failure('TEST_FAILED', `${basename(archive)} cannot be unpacked: ${error instanceof Error ? error.message : 'unknown fault'}`, { cause: error })
  }
}

/** Keeps count, and to the folder. */
class Unpacking {
  readonly interrupted: AbortSignal
  readonly #archive: string
  readonly #folder: string
  #bytes = 0
  #members = 0

  constructor(archive: string, folder: string, interrupted: AbortSignal) {
    this.#archive = basename(archive)
    this.#folder = folder
    this.interrupted = interrupted
  }

  place(name: string, size: number): string {
    this.#bytes += size
    this.#members += 1
    if (this.#bytes > MOST_BYTES || this.#members > MOST_MEMBERS) throw this.fault('unpacks to more than is allowed')
    const path = resolve(this.#folder, name)
    if (path !== this.#folder && !path.startsWith(this.#folder + sep)) throw this.fault(`has a member outside of it: ${name}`)
    return path
  }

  fault(what: string): Failure {
    return new Failure('TEST_FAILED', `${this.#archive} ${what}`)
  }
}

async function unpackTarGz(archive: string, unpacking: Unpacking): Promise<void> {
  const { extract } = await import('tar-stream')
  const reader = extract()
  const links: (() => Promise<void>)[] = []
  const read = async (): Promise<void> => {
    for await (const entry of reader) await unpackEntry(entry, unpacking, links)
  }
  await Promise.all([pipeline(createReadStream(archive), createGunzip(), reader), read()])
  for (const link of links) await link() // nothing is written through a link: they are made when all else is there
}

async function unpackEntry(entry: Member, unpacking: Unpacking, links: (() => Promise<void>)[]): Promise<void> {
  const { name, type, linkname, mode } = entry.header
  const path = unpacking.place(name, entry.header.size)
  if (type === 'directory') await mkdir(path, { recursive: true })
  else if (type === 'symlink' && typeof linkname === 'string') {
    const target = linkname
    unpacking.place(join(dirname(name), target), 0)
    if (target.startsWith('/')) throw unpacking.fault(`has a link outside of it: ${name}`)
    links.push(async () => {
      await mkdir(dirname(path), { recursive: true })
      await symlink(target, path)
    })
  } else if (type === 'link' && typeof linkname === 'string') {
    const target = unpacking.place(linkname, 0)
    links.push(async () => {
      await mkdir(dirname(path), { recursive: true })
      if (!(await lstat(target)).isFile()) throw unpacking.fault(`has a link to what is no file: ${name}`)
      await copyFile(target, path, constants.COPYFILE_EXCL)
    })
  } else if (type === 'file' || type === 'contiguous-file') {
    await mkdir(dirname(path), { recursive: true })
    await pipeline(entry, createWriteStream(path, { flags: 'wx', mode: 0o600 | ((mode ?? 0o644) & 0o777) }), { signal: unpacking.interrupted })
    return
  }
  entry.resume()
}

async function unpackZip(archive: string, unpacking: Unpacking): Promise<void> {
  const { default: StreamZip } = await import('node-stream-zip')
  const zip = new StreamZip.async({ file: archive })
  try {
    for (const { name, size, isDirectory } of Object.values(await zip.entries())) {
      const path = unpacking.place(name, size)
      await mkdir(isDirectory ? path : dirname(path), { recursive: true })
      if (!isDirectory) await pipeline(await zip.stream(name), createWriteStream(path, { flags: 'wx' }), { signal: unpacking.interrupted })
    }
  } finally {
    await zip.close()
  }
}
