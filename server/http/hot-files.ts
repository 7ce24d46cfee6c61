import type { OpenBlob } from '#server/storage/blob-store.js'

/** A larger file is always read from the disk. */
const MOST_FILE_BYTES = 32 * 1024 * 1024
const MOST_BYTES = 48 * 1024 * 1024
/** Asked for so often within the time, a file is read into memory; not asked for in that time, it is dropped. */
const REQUESTS = 3
const KEPT_MS = 20_000
/** Files whose requests are counted. */
const MOST_COUNTED = 1000

export interface HotFile {
  readonly sha256: string
  readonly size: number
}

interface Counted {
  requests: number
  /** ms, of any clock. */
  lastMs: number
  content: Uint8Array | undefined
  loading: boolean
}

/**
 * Large files in memory while many machines fetch them at the same time, as
 * when all builds of a company start on the same new release: a write from
 * memory takes half of what reading pieces from the disk does. Outside of such
 * moments nothing is held.
 */
export class HotFiles implements Disposable {
  readonly #now: () => number
  /** In the order of use, the oldest first. */
  readonly #files = new Map<string, Counted>()
  #bytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor({ now = () => performance.now() }: { readonly now?: () => number } = {}) {
    this.#now = now
  }

  /** Bytes held now, or about to be. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Counts a request; the whole content when it is in memory. When it should
   * be, `open` is called for a later request to find it.
   */
  get({ sha256, size }: HotFile, open: () => Promise<OpenBlob | undefined>): Uint8Array | undefined {
    if (size > MOST_FILE_BYTES) return undefined
    const file = this.#count(sha256)
    if (file.content === undefined && !file.loading && file.requests >= REQUESTS && this.#makeRoom(size)) {
      file.loading = true
      this.#bytes += size
      void this.#load(file, size, open)
    }
    return file.content
  }

  /** Drops what nobody asked for lately. */
  dropCold(): void {
    for (const [sha256, file] of this.#files) {
      if (!this.#isCold(file)) return this.#dropLater()
      if (!file.loading) this.#drop(sha256, file)
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    for (const [sha256, file] of this.#files) this.#drop(sha256, file)
  }

  #count(sha256: string): Counted {
    const known = this.#files.get(sha256)
    const file = known ?? { requests: 0, lastMs: 0, content: undefined, loading: false }
    file.requests = this.#isCold(file) ? 1 : file.requests + 1
    file.lastMs = this.#now()
    this.#files.delete(sha256)
    this.#files.set(sha256, file)
    if (known === undefined && this.#files.size > MOST_COUNTED) this.#forgetOldest()
    return file
  }

  #isCold({ lastMs }: Counted): boolean {
    return this.#now() - lastMs > KEPT_MS
  }

  #forgetOldest(): void {
    for (const [sha256, file] of this.#files) {
      if (file.loading) continue
      this.#drop(sha256, file)
      return
    }
  }

  /** Only cold files make room: hot ones that took turns would be read from the disk each time, and more of it. */
  #makeRoom(size: number): boolean {
    if (this.#bytes + size > MOST_BYTES) this.dropCold()
    return this.#bytes + size <= MOST_BYTES
  }

  async #load(file: Counted, size: number, open: () => Promise<OpenBlob | undefined>): Promise<void> {
    let content: Buffer | undefined
    try {
      content = await readWhole(size, open)
    } catch {
      // Who streams the same file meets the same trouble, and tells of it.
    }
    file.loading = false
    if (content === undefined) this.#bytes -= size
    else file.content = content
    this.#dropLater()
  }

  #drop(sha256: string, file: Counted): void {
    this.#files.delete(sha256)
    this.#bytes -= file.content?.length ?? 0
    file.content = undefined
  }

  #dropLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.dropCold()
    }, KEPT_MS).unref()
  }
}

/** Undefined for a blob that is not there, or of another size. */
async function readWhole(size: number, open: () => Promise<OpenBlob | undefined>): Promise<Buffer | undefined> {
  const blob = await open()
  if (blob === undefined) return undefined
  try {
    const content = Buffer.allocUnsafeSlow(size)
    return blob.size === size && (await blob.read(content, 0)) === size ? content : undefined
  } finally {
    await blob.close()
  }
}
