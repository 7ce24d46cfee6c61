/**
 * An expected "no": the request was understood and is declined. Thrown on any
 * floor; `http/errors.ts` alone maps it to a status, the CLI to an exit code.
 * Branch on `kind`, never on the message.
 */
export type RefusalKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'method-not-allowed'
  | 'conflict'
  | 'gone'
  | 'too-large'
  | 'unsupported-media-type'
  | 'range-not-satisfiable'
  | 'too-many-requests'
  | 'upstream-failed'
  | 'not-available'
  | 'storage-full'

/**
 * How the refusal is worded on the wire (`spec/server-http.md` 1.5):
 * `message`  `{message}`, or a small page for who does not accept JSON (families E1 and E2);
 * `status`   `{message, code, title}`, page or plain text by Accept (family E3);
 * `reason`   as `status`, and the reason phrase of the status line is the message (family E4, uploads).
 */
export type RefusalForm = 'message' | 'status' | 'reason'

export interface RefusalOptions extends ErrorOptions {
  readonly form?: RefusalForm
  /** Reply headers that belong to the refusal, such as `WWW-Authenticate`, `Allow` or `Retry-After`. */
  readonly headers?: Readonly<Record<string, string>>
}

export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly kind: RefusalKind
  readonly form: RefusalForm
  readonly headers: Readonly<Record<string, string>>

  constructor(kind: RefusalKind, message: string, options: RefusalOptions = {}) {
    super(message, options)
    this.kind = kind
    this.form = options.form ?? 'message'
    this.headers = options.headers ?? {}
  }
}
