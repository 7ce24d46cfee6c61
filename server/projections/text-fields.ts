import { MsgpackCursor } from '#log-format/msgpack-cursor.js'

/** Reads texts out of the msgpack of a map, past all other fields; in the order of the names, undefined where there is none. */
export function textFields(...names: readonly string[]): (bytes: Uint8Array, start: number) => (string | undefined)[] {
  return (bytes, start) => {
    const cursor = new MsgpackCursor(bytes, start, { sharesText: true })
    const found = names.map((): string | undefined => undefined)
    for (let left = cursor.mapLength(); left > 0; left -= 1) {
      const at = names.indexOf(cursor.key())
      if (at >= 0 && cursor.isAtText()) found[at] = cursor.text()
      else cursor.skip()
    }
    return found
  }
}
