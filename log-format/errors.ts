/** Bytes or values that are not what the format says. `at` is a byte offset or a dotted place, as the message says. */
export class FormatError extends Error {
  override readonly name: string = 'FormatError'
  readonly at: string

  constructor(what: string, at: string, options?: ErrorOptions) {
    super(`${what} at ${at}`, options)
    this.at = at
  }
}

/** An entry that does not continue the log before it: the history is damaged or another one. */
export class ChainError extends Error {
  override readonly name = 'ChainError'
  readonly serial: number

  constructor(serial: number, what: string) {
    super(`entry ${serial} does not continue the log: ${what}`)
    this.serial = serial
  }
}
