import { createHash } from 'node:crypto'
import { access, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** A stored list: `owner` names whose it is, `digest` what is in it. */
export interface NameListRef {
  /** 32 hex digits. */
  readonly owner: string
  /** SHA-256 of its bytes, in hex. */
  readonly digest: string
}

const READ_BYTES = 64 * 1024
const WRITE_CHARACTERS = 64 * 1024
const STORED = /^([0-9a-f]{32})-([0-9a-f]{64})\.names$/

/**
 * Long lists of names on the disk, a line for each, one file for each list
 * and state of it. A cache: it may be removed while the server is down.
 */
export class NameLists {
  readonly #folder: string
  #count = 0

  /** The folder is made when there is something to put in it. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * Stores names of Latin-1 without line breaks, in the order they come in.
   * The list before stays, so that who has just heard of it can read it; older
   * ones of the owner go.
   */
  async write(owner: string, names: Iterable<string>, before: NameListRef | undefined): Promise<NameListRef> {
    await mkdir(this.#folder, { recursive: true })
    this.#count += 1
    const temp = join(this.#folder, `${owner}-${this.#count}.tmp`)
    const hash = createHash('sha256')
    const file = await open(temp, 'w')
    try {
      for (const portion of portions(names)) {
        hash.update(portion)
        await file.writeFile(portion)
      }
      await file.sync()
    } catch (error) {
      await file.close()
      await rm(temp, { force: true })
      throw error
    }
    await file.close()
    const stored = { owner, digest: hash.digest('hex') }
    await rename(temp, this.#pathOf(stored))
    await this.#removeUnless((found) => found.owner !== owner || [stored.digest, before?.digest].includes(found.digest))
    return stored
  }

  /** The names of a list that is stored, in batches. */
  async *read(ref: NameListRef): AsyncGenerator<readonly string[]> {
    const file = await open(this.#pathOf(ref))
    try {
      let rest = ''
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, READ_BYTES)
        if (bytesRead === 0) return
        const names = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n')
        rest = names.pop() ?? ''
        yield names
      }
    } finally {
      await file.close()
    }
  }

  async has(ref: NameListRef): Promise<boolean> {
    return access(this.#pathOf(ref)).then(() => true, () => false)
  }

  /** Removes the lists of all owners but these, and what nobody finished writing. To be called while nothing is written. */
  async sweep(owners: ReadonlySet<string>): Promise<void> {
    for (const name of await this.#names()) if (name.endsWith('.tmp')) await rm(join(this.#folder, name), { force: true })
    await this.#removeUnless(({ owner }) => owners.has(owner))
  }

  async isEmpty(): Promise<boolean> {
    return (await this.#names()).length === 0
  }

  async #removeUnless(keep: (found: NameListRef) => boolean): Promise<void> {
    for (const name of await this.#names()) {
      const [, owner, digest] = STORED.exec(name) ?? []
      if (owner !== undefined && digest !== undefined && !keep({ owner, digest })) await rm(join(this.#folder, name), { force: true })
    }
  }

  async #names(): Promise<readonly string[]> {
    return access(this.#folder).then(() => readdir(this.#folder), () => [])
  }

  #pathOf(ref: NameListRef): string {
    return join(this.#folder, nameOf(ref))
  }
}

function nameOf({ owner, digest }: NameListRef): string {
  return `${owner}-${digest}.names`
}

function* portions(names: Iterable<string>): Generator<Buffer> {
  let text = ''
  for (const name of names) {
    text += `${name}\n`
    if (text.length < WRITE_CHARACTERS) continue
    yield Buffer.from(text, 'latin1')
    text = ''
  }
  if (text !== '') yield Buffer.from(text, 'latin1')
}
