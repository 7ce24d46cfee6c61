/**
 * An archive that cannot be read as one, or will not. The message completes a
 * sentence that begins with the file's name: "is truncated".
 */
export class BrokenArchive extends Error {
  override readonly name = 'BrokenArchive'
  /** How it is refused: `too-large` when it is well-formed and only too much. */
  readonly kind: 'invalid' | 'too-large'

  constructor(message: string, options: ErrorOptions & { readonly kind?: 'too-large' } = {}) {
    super(message, options)
    this.kind = options.kind ?? 'invalid'
  }
}
