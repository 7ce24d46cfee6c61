import { MsgpackCursor } from '#log-format/msgpack-cursor.js'

/**
 * Reads texts out of the msgpack of a map, past all other fields; in the order of the names, undefined where there is
 * none. Nor is there any in a value of another kind, which a newer primary may know.
 */
export function textFields(...names: readonly string[]): (bytes: Uint8Array, start: number) => (string | undefined)[] {
  return (bytes, start) => {
    const cursor = new MsgpackCursor(bytes, start, { sharesText: true })
    const found = names.map((): string | undefined => undefined)
    if (!cursor.isAtMap()) return found
    for (let left = cursor.mapLength(); left > 0; left -= 1) {
      const at = names.indexOf(cursor.key())
      if (at >= 0 && cursor.isAtText()) found[at] = cursor.text()
      else cursor.skip()
    }
    return found
  }
}
