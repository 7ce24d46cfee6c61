import { Refusal } from '#log-format/api/refusal.js'

/** The command line, environment (exit code 2) or configuration file (exit code 4) asks for something impossible. */
export class UsageError extends Refusal {
  readonly exitCode: 2 | 4

  constructor(message: string, exitCode: 2 | 4 = 2) {
    super('invalid', message)
    this.exitCode = exitCode
  }
}
