import { createHash } from 'node:crypto'

/** The digests that upload forms announce: `md5_digest`, `sha256_digest`, `blake2_256_digest`. */
export type DigestName = 'md5' | 'sha256' | 'blake2b-256'

/** Several digests of one content, fed once. */
export interface ContentHash {
  update(bytes: Uint8Array): void
  /** Hex by name. Ends the hash; nothing may be fed after it. */
  digest(): Partial<Record<DigestName, string>> & { readonly sha256: string }
}

interface Blake2b {
  init(): unknown
  update(bytes: Uint8Array): unknown
  digest(): string
}

/** Most idle hashers kept: each holds its own WebAssembly memory. */
const MOST_IDLE = 8

/** Loaded when the first form announces such a digest. */
async function newBlake2b(): Promise<Blake2b> {
  const { createBLAKE2b } = await import('hash-wasm')
  return createBLAKE2b(256)
}

/** Starts hashes; keeps the BLAKE2b ones, which take 0.1 ms to set up (OpenSSL has no BLAKE2b-256). */
export class ContentHasher {
  readonly #idle: Blake2b[] = []

  /** sha256 is always among the digests. */
  async start(names: readonly DigestName[] = []): Promise<ContentHash> {
    const sha256 = createHash('sha256')
    const md5 = names.includes('md5') ? createHash('md5') : undefined
    const blake2b = names.includes('blake2b-256') ? (this.#idle.pop() ?? (await newBlake2b())) : undefined
    blake2b?.init()
    return {
      update: (bytes) => {
        sha256.update(bytes)
        md5?.update(bytes)
        blake2b?.update(bytes)
      },
      digest: () => {
        const digests = {
          sha256: sha256.digest('hex'),
          ...(md5 && { md5: md5.digest('hex') }),
          ...(blake2b && { 'blake2b-256': blake2b.digest() }),
        }
        if (blake2b !== undefined && this.#idle.length < MOST_IDLE) this.#idle.push(blake2b)
        return digests
      },
    }
  }
}

/** Whether a text is a digest as blobs are named by: 64 lower-case hex digits. */
export function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text)
}
