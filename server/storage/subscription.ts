import { decodeEntry } from '#log-format/codec.js'
import type { Entry } from '#log-format/entry.js'
import { nextSerial } from '#log-format/serial.js'
import type { Storage } from './storage.js'

/** Entries handed over between two moves of the durable cursor. */
const ENTRIES_PER_MOVE = 100

/**
 * Hands every entry to `handle`, in order, each after its commit and at least
 * once: the cursor is durable, so a restart goes on where the last one
 * stopped. A slow handler costs nothing but its own lag. Runs until `signal`
 * is aborted; rejects when `handle` does, and the entry comes again next time.
 */
export async function subscribe(
  storage: Storage,
  name: string,
  handle: (entry: Entry) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let done = storage.cursor(name)
  let moved = done
  try {
    while (!signal.aborted) {
      for await (const stored of storage.entries.read(nextSerial(done))) {
        for (const { bytes, serial } of stored) {
          if (signal.aborted) return
          await handle(decodeEntry(bytes))
          done = serial
          if (done - moved >= ENTRIES_PER_MOVE) {
            await storage.moveCursor(name, done)
            moved = done
          }
        }
      }
      if (done !== moved) await storage.moveCursor(name, done)
      moved = done
      await storage.reached(nextSerial(done), signal)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    if (done !== moved) await storage.moveCursor(name, done)
  }
}
