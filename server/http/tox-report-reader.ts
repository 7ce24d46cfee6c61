import type { JsonValue, ToxReport } from '#log-format/values.js'
import { readToxReport } from '#server/packaging/tox-report.js'
import type { BodyCheck } from './body-stream.js'
import { JsonScanner } from './json-scanner.js'

/** Larger documents are taken, but not read for what they say: that takes many times their size of memory. */
const MAX_READ_BYTES = 1024 * 1024

/** Checks that a body is JSON on its way, and reads what it says in short if it is a tox report. Refuses `invalid`. */
export class ToxReportReader implements BodyCheck {
  readonly #scanner = new JsonScanner()
  #chunks: Uint8Array[] = []
  #sizeBytes = 0

  write(chunk: Uint8Array): void {
    this.#scanner.write(chunk)
    this.#sizeBytes += chunk.length
    if (this.#sizeBytes <= MAX_READ_BYTES) this.#chunks.push(chunk)
    else this.#chunks = []
  }

  end(): void {
    this.#scanner.end()
  }

  /** Once the whole body was written. */
  report(): ToxReport | undefined {
    if (this.#sizeBytes > MAX_READ_BYTES) return undefined
    return readToxReport(JSON.parse(new TextDecoder().decode(Buffer.concat(this.#chunks))) as JsonValue)
  }
}
