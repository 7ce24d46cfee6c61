import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import type * as Interfaces from '@oclif/core/interfaces'
import { unmarked } from './arguments.js'

/** A flag with a text, which may be empty or begin with a dash. */
export const textFlag = Flags.custom({ parse: async (input) => unmarked(input) })

/** An argument. Never filled from standard input, which belongs to confirmations and children. */
export function argument(description: string): Interfaces.Arg<string | undefined> {
  return Args.string({ description, ignoreStdin: true })
}

export function requiredArgument(description: string): Interfaces.Arg<string> {
  return Args.string({ description, ignoreStdin: true, required: true })
}

export const GENERIC_FLAGS = {
  debug: Flags.boolean({ description: 'show requests, raw replies and stacks', helpGroup: 'GENERIC' }),
  yes: Flags.boolean({ char: 'y', description: 'answer yes to every question', helpGroup: 'GENERIC' }),
  verbose: Flags.boolean({ char: 'v', description: 'say more', helpGroup: 'GENERIC' }),
  clientdir: textFlag({ description: 'where logins and the current index are kept [DEVPI_CLIENTDIR, else ~/.devpi/client]', helpValue: 'DIR', helpGroup: 'GENERIC' }),
  timeout: textFlag({ description: 'how long nothing may come from the server [DEVPI_TIMEOUT, else 60]', helpValue: 'SECONDS', helpGroup: 'GENERIC' }),
  color: Flags.boolean({ description: 'colour the output', helpGroup: 'GENERIC', exclusive: ['no-color'] }),
  'no-color': Flags.boolean({ description: 'print without colour [NO_COLOR]', helpGroup: 'GENERIC' }),
  'no-netrc': Flags.boolean({ description: 'take no passwords from ~/.netrc [NETRC]', helpGroup: 'GENERIC' }),
  'no-progress': Flags.boolean({ description: 'show no progress bars [DEVPI_NO_PROGRESS]', helpGroup: 'GENERIC' }),
}

export const INDEX_FLAG = textFlag({ description: 'another index than the current one', helpValue: '[USER/]NAME' })
