import { parseArgs, type ParseArgsConfig } from 'node:util'
import { Refusal } from '#log-format/api/refusal.js'

/** Arguments that a script cannot do anything with; its message is for whoever typed them. */
export class ArgumentFault extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>

/** Reads `--name value` and `--flag` as `options` has them. Throws an {@link ArgumentFault} with `usage` for others. */
export function readArguments<T extends Options>(
  argv: readonly string[],
  options: T,
  usage: string,
): ReturnType<typeof parseArgs<{ args: string[]; options: T; allowPositionals: true }>> {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true })
  } catch (error) {
    const message = error instanceof Error ? error.message : 'the arguments cannot be read'
    throw new ArgumentFault(`${message}\nusage: ${usage}`)
  }
}

/** A whole number from `least` on; `fallback` when it is not given. */
export function wholeNumber(name: string, text: string | undefined, fallback: number, least = 0): number {
  if (text === undefined) return fallback
  const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : -1
  if (value < least) throw new ArgumentFault(`--${name} wants a whole number from ${least} on, not ${text}`)
  return value
}

/** Runs a script; a fault of its arguments is printed and ends it with 2, a refusal likewise with 1. */
export async function runScript(work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ArgumentFault || error instanceof Refusal)) throw error
    process.stderr.write(`${error.message}\n`)
    return error instanceof ArgumentFault ? 2 : 1
  }
}
