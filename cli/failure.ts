/** What went wrong, for programs: the `code` of a failed command with `--json`. */
export type FailureCode =
  | 'USAGE'
  | 'NO_SERVER'
  | 'NO_INDEX'
  | 'NOT_LOGGED_IN'
  | 'LOGIN_EXPIRED'
  | 'CONNECT'
  | 'TLS'
  | 'API_VERSION'
  | `HTTP_${number}`
  | 'NOT_FOUND'
  | 'BUILD_FAILED'
  | 'TEST_FAILED'
  | 'UPLOAD_FAILED'
  | 'PUSH_FAILED'
  | 'INSTALL_FAILED'
  | 'CANCELLED'
  | 'CONFIG'

export interface FailureOptions extends ErrorOptions {
  /** What to type or change next, as a sentence of its own. */
  readonly hint?: string | undefined
  /** The request that was answered with a no, or not at all. Its URL is free of secrets. */
  readonly request?: { readonly method: string; readonly url: string; readonly status?: number }
  /** 1 unless told: 2 is for wrong usage, 130 for an interruption, and others are those of a program that was run. */
  readonly exitCode?: number
  /** The result of a command that did part of its work, which `--json` prints beside the error. */
  readonly result?: object
}

/** An expected end without success. Its message is for people, may have several lines, and holds no secret. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly code: FailureCode
  readonly hint: string | undefined
  readonly request: FailureOptions['request']
  readonly exitCode: number
  readonly result: object | undefined

  constructor(code: FailureCode, message: string, options: FailureOptions = {}) {
    super(message, options)
    this.code = code
    this.hint = options.hint
    this.request = options.request
    this.exitCode = options.exitCode ?? (code === 'USAGE' ? 2 : 1)
    this.result = options.result
  }

  /** The `error` of a command with `--json`. */
  toJson(): object {
    return {
      code: this.code,
      message: this.message,
      ...this.request,
      ...(this.hint !== undefined && { hint: this.hint }),
    }
  }
}

export function interruption(cause?: unknown): Failure {
  return new Failure('CANCELLED', 'interrupted', { exitCode: 130, cause })
}

/** Fails once the user has interrupted: nothing new is begun then. */
export function requireGoingOn({ aborted }: AbortSignal): void {
  if (aborted) throw interruption()
}

export function usageError(reason: string): Failure {
  return new Failure('USAGE', reason)
}
