import { ArgumentFault, readArguments, runScript } from './arguments.js'
import { entryText } from './entry-text.js'
import { type LoggedEntry, StoredLog } from './stored-log.js'

const USAGE = 'npm run log-diff -- DIR_A DIR_B'

/** Says where the logs of two server directories part. Resolves to 0 when they are the same, else to 1. */
export function main(argv: readonly string[], print = (text: string): unknown => process.stdout.write(text)): Promise<number> {
  return runScript(async () => {
    const [a, b, ...rest] = readArguments(argv, {}, USAGE).positionals
    if (a === undefined || b === undefined || rest.length > 0) throw new ArgumentFault(`usage: ${USAGE}`)
    await using left = await StoredLog.open(a)
    await using right = await StoredLog.open(b)
    const shared = Math.min(left.head, right.head)
    const parted = await firstDifference(left, right, shared)
    if (parted !== undefined) {
      print(`the logs part at serial ${parted.left.entry.serial}\n${a}: ${entryText(parted.left)}${b}: ${entryText(parted.right)}`)
      return 1
    }
    if (left.head === right.head) {
      print(`the logs are the same up to serial ${shared}\n`)
      return 0
    }
    const [longer, more] = left.head > right.head ? [a, left.head - shared] : [b, right.head - shared]
    print(`the logs are the same up to serial ${shared}; ${longer} has ${more} entries more\n`)
    return 1
  })
}

async function firstDifference(
  left: StoredLog,
  right: StoredLog,
  to: number,
): Promise<{ readonly left: LoggedEntry; readonly right: LoggedEntry } | undefined> {
  const others = right.entries(0, to)
  for await (const one of left.entries(0, to)) {
    const other = await others.next()
    if (other.done === true) return undefined
    if (one.digest !== other.value.digest) return { left: one, right: other.value }
  }
  return undefined
}
