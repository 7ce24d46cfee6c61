import { createRequire } from 'node:module'
import type * as OfArgs from '@oclif/core/args'
import type * as OfCommand from '@oclif/core/command'
import type * as OfConfig from '@oclif/core/config'
import type * as OfErrors from '@oclif/core/errors'
import type * as OfFlags from '@oclif/core/flags'
import type * as OfHelp from '@oclif/core/help'

/**
 * The parts of the command framework that a run takes. Its main entry loads half as many files again, and Node 20 reads
 * every CommonJS file that is imported, instead of required, once more to find its names.
 */
const require = createRequire(import.meta.url)

export const { Command } = require('@oclif/core/command') as typeof OfCommand
export const { Config } = require('@oclif/core/config') as typeof OfConfig
export const { CLIError } = require('@oclif/core/errors') as typeof OfErrors
export const { Help } = require('@oclif/core/help') as typeof OfHelp
export const Args = require('@oclif/core/args') as typeof OfArgs
export const Flags = require('@oclif/core/flags') as typeof OfFlags
export type * as Interfaces from '@oclif/core/interfaces'
