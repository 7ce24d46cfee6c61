import { MsgpackCursor } from '#log-format/msgpack-cursor.js'
import type { LinkRel, LinkValue } from '#log-format/values.js'

/** What pages show of a link. */
export interface LinkFields {
  readonly rel: LinkRel
  readonly dir: string
  readonly sha256: string
  readonly size: number
  readonly time: number
  readonly requiresPython: string | undefined
  readonly yanked: string | undefined
  /** sha256 of the metadata. */
  readonly coreMetadata: string | undefined
}

export function linkFields({ rel, dir, sha256, size, time, requiresPython, yanked, coreMetadata }: LinkValue): LinkFields {
  return { rel, dir, sha256, size, time, requiresPython, yanked, coreMetadata: coreMetadata?.sha256 }
}

/**
 * The same out of the msgpack of a `LinkValue`, past its log and whatever else
 * pages do not show: a page has thousands of links, and to build them whole
 * takes most of its time.
 */
export function readLinkFields(bytes: Uint8Array, start: number): LinkFields {
  const cursor = new MsgpackCursor(bytes, start, { sharesText: true })
  let [rel, dir, sha256] = ['', '', '']
  let [size, time] = [0, 0]
  let requiresPython: string | undefined
  let yanked: string | undefined
  let coreMetadata: string | undefined
  for (let left = cursor.mapLength(); left > 0; left -= 1) {
    switch (cursor.key()) {
      case 'rel':
        rel = cursor.text()
        break
      case 'dir':
        dir = cursor.text()
        break
      case 'sha256':
        sha256 = cursor.text()
        break
      case 'size':
        size = cursor.number()
        break
      case 'time':
        time = cursor.number()
        break
      case 'requiresPython':
        requiresPython = cursor.text()
        break
      case 'yanked':
        yanked = cursor.text()
        break
      case 'coreMetadata':
        coreMetadata = sha256In(cursor)
        break
      default:
        cursor.skip()
    }
  }
  return { rel: rel as LinkRel, dir, sha256, size, time, requiresPython, yanked, coreMetadata }
}

function sha256In(cursor: MsgpackCursor): string | undefined {
  let sha256: string | undefined
  for (let left = cursor.mapLength(); left > 0; left -= 1) {
    if (cursor.key() === 'sha256') sha256 = cursor.text()
    else cursor.skip()
  }
  return sha256
}
