/*
 * Preloaded into a child process, as `--import …/faulty-disk.js?kill=17&armed=FILE&full=FILE&links=no`:
 *
 * - `kill`: the process ends, as by `kill -9`, at so manieth an instant of what it does to its disk: before
 *   a step, in the middle of a file, after a step. `armed`: instants count while there is such a file.
 * - `full`: while there is such a file the disk is full. With the word `low` in it the disk says
 *   that it has no room; otherwise all that is written fails, although the disk says that it has some, as with a quota.
 * - `links=no`: a file system without hard links.
 *
 * Steps are those of files and of LevelDB. Reads are none.
 */
import fs, { existsSync, readFileSync, writeFileSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { fileURLToPath } from 'node:url'
import { type ChainedBatch, ClassicLevel } from 'classic-level'

const asked = new URL(import.meta.url).searchParams
const killAt = Number(asked.get('kill') ?? Infinity)
const armed = asked.get('armed')
const full = asked.get('full')
let instants = 0

function instant(atLast?: () => void): void {
  if (armed !== null && !existsSync(armed)) return
  instants += 1
  if (instants !== killAt) return
  atLast?.()
  process.kill(process.pid, 'SIGKILL')
}

function saysOfDisk(): string {
  return full !== null && existsSync(full) ? readFileSync(full, 'utf8') : ''
}

function isFull(): boolean {
  return !['', 'low'].includes(saysOfDisk())
}

function noSpace(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC', errno: -28 })
}

type Step = (...args: never[]) => Promise<unknown>
type Steps<Name extends string> = { [K in Name]: Step }

/** Puts instants around functions of an object. `halfOf` does the first half of a step. */
function watch<Name extends string>(owner: Steps<Name>, names: readonly Name[], halfOf?: (self: unknown, args: readonly unknown[]) => void): void {
  for (const name of names) {
    const step = owner[name]
    owner[name] = async function (this: unknown, ...args: never[]): Promise<unknown> {
      if (isFull() && name !== 'rm' && name !== 'rename' && name !== 'sync') throw noSpace()
      instant()
      if (halfOf !== undefined) instant(() => { halfOf(this, args) })
      const done: unknown = await step.apply(this, args)
      instant()
      return done
    }
  }
}

const bytesOf = (content: unknown): Buffer => (typeof content === 'string' ? Buffer.from(content) : Buffer.from(content as Uint8Array))
const half = (bytes: Buffer): Buffer => bytes.subarray(0, Math.floor(bytes.length / 2))

const handle = await promises.open(fileURLToPath(import.meta.url))
const handles = Object.getPrototypeOf(handle) as Steps<'writeFile' | 'writev' | 'write' | 'sync'>
await handle.close()
watch(handles, ['writev', 'write', 'sync'])
watch(handles, ['writeFile'], (self, [content]) => { fs.writeSync((self as { readonly fd: number }).fd, half(bytesOf(content))) })
const files: Steps<'rename' | 'rm' | 'link' | 'mkdir' | 'writeFile' | 'copyFile'> = promises
watch(files, ['rename', 'rm', 'link', 'mkdir'])
watch(files, ['writeFile'], (_, [path, content]) => { writeFileSync(path as string, half(bytesOf(content))) })
watch(files, ['copyFile'], (_, [from, to]) => { writeFileSync(to as string, half(readFileSync(from as string))) })

const { link } = promises
promises.link = async (from, to) => {
  if (asked.get('links') === 'no' && !existsSync(to)) throw Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' })
  return link(from, to)
}
const { statfs } = promises
promises.statfs = (async (...args: Parameters<typeof statfs>) => {
  const found = await statfs(...args)
  return saysOfDisk() === 'low' ? Object.assign(found, { bavail: 0 }) : found
}) as typeof statfs

function isCallback(value: unknown): value is (error: Error | null) => void {
  return typeof value === 'function'
}

const { writev } = fs
fs.writev = ((...args: Parameters<typeof writev>) => {
  const done: unknown = args.at(-1)
  if (isFull() && isCallback(done)) return void setImmediate(() => { done(noSpace()) })
  instant()
  writev(...args)
}) as typeof writev

/** The same as {@link watch} of a function that calls back. */
function watchCallback(name: 'fsync' | 'rename'): void {
  const step = fs[name] as (...args: unknown[]) => void
  const watched = (...args: unknown[]): void => {
    const done: unknown = args.pop()
    instant()
    step(...args, (error: Error | null) => {
      instant()
      if (isCallback(done)) done(error)
    })
  }
  Object.assign(fs, { [name]: watched })
}
watchCallback('fsync')
watchCallback('rename')
syncBuiltinESMExports()

interface Batches {
  _chainedBatch(): ChainedBatch<ClassicLevel, string, string> & Steps<'_write'>
}
// Methods that its types do not name, below those that callers use.
const levels = ClassicLevel.prototype as unknown as Batches & Steps<'_clear'>
const { _chainedBatch: chainedBatch } = levels
levels._chainedBatch = function (this: unknown) {
  const batch = chainedBatch.call(this as Batches)
  watch(batch, ['_write'])
  return batch
}
watch(levels, ['_clear'])
