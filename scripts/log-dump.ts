import { readArguments, runScript, wholeNumber } from './arguments.js'
import { entryJson, entryText } from './entry-text.js'
import { StoredLog } from './stored-log.js'

const USAGE = 'npm run log-dump -- --serverdir DIR [--from SERIAL] [--to SERIAL] [--json]'

/** Prints the log of a server directory that no server uses. */
export function main(argv: readonly string[], print = (text: string): unknown => process.stdout.write(text)): Promise<number> {
  return runScript(async () => {
    const { values } = readArguments(
      argv,
      { serverdir: { type: 'string' }, from: { type: 'string' }, to: { type: 'string' }, json: { type: 'boolean' } },
      USAGE,
    )
    await using log = await StoredLog.open(values.serverdir ?? '.')
    const from = wholeNumber('from', values.from, 0)
    const to = wholeNumber('to', values.to, log.head)
    for await (const logged of log.entries(from, to)) {
      print(values.json === true ? entryJson(logged) : entryText(logged))
    }
    return 0
  })
}
