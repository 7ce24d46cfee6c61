import { MsgpackCursor } from '#log-format/msgpack-cursor.js'

/** What pages show of a mirrored file, or go by. */
export interface MirrorFields {
  readonly upstream: string | undefined
  readonly url: string
  readonly version: string
  readonly dir: string
  readonly seen: number
  readonly sha256: string | undefined
  readonly size: number | undefined
  readonly time: number | undefined
  readonly requiresPython: string | undefined
  readonly yanked: string | undefined
  readonly coreMetadata: string | undefined
  readonly noMetadata: boolean
  readonly provenance: string | undefined
  readonly isGone: boolean
}

/** In msgpack. */
const TRUE = 0xc3

/** Out of the msgpack of a `MirrorFileValue`, past whatever else it says; for the reason that `readLinkFields` has. */
export function readMirrorFields(bytes: Uint8Array, start: number): MirrorFields {
  const cursor = new MsgpackCursor(bytes, start, { sharesText: true })
  const texts: { -readonly [Field in TextField]?: string } = {}
  let [seen, size, time]: [number, number | undefined, number | undefined] = [0, undefined, undefined]
  let [noMetadata, isGone] = [false, false]
  for (let left = cursor.mapLength(); left > 0; left -= 1) {
    const key = cursor.key()
    switch (key) {
      case 'upstream':
      case 'url':
      case 'version':
      case 'dir':
      case 'sha256':
      case 'requiresPython':
      case 'yanked':
      case 'coreMetadata':
      case 'provenance':
        texts[key] = cursor.text()
        break
      case 'seen':
        seen = cursor.number()
        break
      case 'size':
        size = cursor.number()
        break
      case 'time':
        time = cursor.number()
        break
      case 'noMetadata':
        noMetadata = cursor.skip()[0] === TRUE
        break
      case 'gone':
        isGone = true
        cursor.skip()
        break
      default:
        cursor.skip()
    }
  }
  const { upstream, url = '', version = '', dir = '', sha256, requiresPython, yanked, coreMetadata, provenance } = texts
  return { upstream, url, version, dir, seen, sha256, size, time, requiresPython, yanked, coreMetadata, noMetadata, provenance, isGone }
}

type TextField = 'upstream' | 'url' | 'version' | 'dir' | 'sha256' | 'requiresPython' | 'yanked' | 'coreMetadata' | 'provenance'
