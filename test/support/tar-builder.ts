import { gzipSync } from 'node:zlib'

export interface TarEntry {
  readonly name: string
  readonly bytes?: Uint8Array
  /** As in the header: `0` file, `1` hard link, `2` symbolic link, `5` folder, `x` PAX records. */
  readonly type?: string
  readonly linkName?: string
  /** A lie of the header about the length of `bytes`. */
  readonly size?: number
}

/** A ustar archive (POSIX.1-1988) with fixed times and owners, so that equal entries make equal bytes. Names up to 100 bytes. */
export function tar(entries: readonly TarEntry[]): Buffer {
  const blocks = entries.flatMap((entry) => {
    const bytes = entry.bytes ?? new Uint8Array()
    return [header(entry, bytes.length), bytes, new Uint8Array((512 - (bytes.length % 512)) % 512)]
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

/** The same, packed; gzip of Node writes no time into its header. */
export function tarGz(entries: readonly TarEntry[]): Buffer {
  return gzipSync(tar(entries))
}

function header(entry: TarEntry, length: number): Buffer {
  const { name, type = '0', linkName = '', size = length } = entry
  const block = Buffer.alloc(512)
  block.write(name, 0, 100)
  block.write(octal(type === '5' ? 0o755 : 0o644, 8), 100)
  block.write(octal(0, 8), 108)
  block.write(octal(0, 8), 116)
  block.write(octal(size, 12), 124)
  block.write(octal(1_704_067_200, 12), 136) // 2024-01-01
  block.write(' '.repeat(8), 148)
  block.write(type, 156)
  block.write(linkName, 157, 100)
  block.write('ustar\x0000', 257)
  const checksum = block.reduce((sum, byte) => sum + byte, 0)
  block.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`
}
