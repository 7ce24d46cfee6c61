import { readArguments, runScript, wholeNumber } from './arguments.js'
import { entryJson, entryText } from './entry-text.js'
import { framedEntries, type LoggedEntry, StoredLog } from './stored-log.js'

const USAGE = 'npm run log-dump -- --serverdir DIR | --frames FILE [--from SERIAL] [--to SERIAL] [--json]'

/** Prints the log of a server directory that no server uses, or entries that were put aside from one. */
export function main(argv: readonly string[], print = (text: string): unknown => process.stdout.write(text)): Promise<number> {
  return runScript(async () => {
    const { values } = readArguments(
      argv,
      { serverdir: { type: 'string' }, frames: { type: 'string' }, from: { type: 'string' }, to: { type: 'string' }, json: { type: 'boolean' } },
      USAGE,
    )
    const from = wholeNumber('from', values.from, 0)
    const to = wholeNumber('to', values.to, Number.MAX_SAFE_INTEGER)
    const show = (logged: LoggedEntry): unknown => print(values.json === true ? entryJson(logged) : entryText(logged))
    if (values.frames !== undefined) {
      for await (const logged of framedEntries(values.frames)) if (logged.entry.serial >= from && logged.entry.serial <= to) show(logged)
      return 0
    }
    await using log = await StoredLog.open(values.serverdir ?? '.')
    for await (const logged of log.entries(from, Math.min(to, log.head))) show(logged)
    return 0
  })
}
