import type { Readable } from 'node:stream'

export interface FormFile {
  /** As sent, which may hold folders or nothing at all: the caller checks it. */
  readonly filename: string
  /** Names of the fields that came before the file. */
  readonly fieldsBefore: readonly string[]
  /** Must be read to its end, or the form never comes to its own. */
  readonly stream: Readable
  /** Aborted as soon as the form is refused or the client is gone. */
  readonly signal: AbortSignal
}

export interface FormOptions<F extends AsyncDisposable> {
  readonly maxBodyBytes: number
  readonly maxFields: number
  /** Of one value. */
  readonly maxFieldBytes: number
  /** Of all names and values. */
  readonly maxTotalFieldBytes: number
  readonly idleTimeoutMs: number
  /** Takes the file of the part `content`; what it returns is disposed when the rest of the form is refused. */
  readonly onFile: (file: FormFile) => Promise<F>
  readonly signal?: AbortSignal
}

export interface Form<F> {
  /** In the order sent; names repeat. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** The caller disposes its `content`. */
  readonly file: { readonly filename: string; readonly content: F } | undefined
}
