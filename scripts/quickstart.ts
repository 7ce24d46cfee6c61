import { createServer } from 'node:net'
import { missingClients } from '#test/support/real-clients.js'
import { ArgumentFault, readArguments, runScript, wholeNumber } from './arguments.js'
import { PERFORMANCES, performAll, type PerformanceName } from './quickstart-parts/performances.js'
import { USUAL_PORT } from './quickstart-parts/playground.js'
import type { Verdict } from './quickstart-parts/row.js'
import { NEEDED, Workbench } from './quickstart-parts/workbench.js'

const USAGE = 'npm run quickstart -- [classic | modern] [--port 3141] [--keep]'

/**
 * Performs the quickstart from its first line to its last in a temporary
 * home: with a server of its own, real git, pip, build and tox, and nothing from other machines. Prints the transcript and
 * what is not as it should be. Resolves to 1 when anything is not.
 */
export function main(argv: readonly string[], print: (text: string) => unknown = (text) => process.stdout.write(text)): Promise<number> {
  return runScript(async () => {
    const { names, port, keep } = await readQuickstartArguments(argv)
    const missing = missingClients(NEEDED)
    if (missing.length > 0) throw new ArgumentFault(`these are missing: ${missing.join(', ')}; the README names the packages`)
    const start = performance.now()
    await using bench = await Workbench.open({ keep })
    const wrong: Verdict[] = []
    let rows = 0
    for (const name of names) {
      print(`== ${name}, in ${bench.path(name)}\n`)
      const verdicts = await performAll(name, bench, port, {
        done: ({ command }, { lines, code, seconds }, verdictsOfRow) => {
          print(`\n$ ${command}\n${lines.join('\n')}\n`)
          print(`[${verdictsOfRow.map(({ id, complaints }) => `${id} ${complaints.length === 0 ? 'ok' : 'WRONG'}`).join(', ')}; exit status ${code}, ${seconds.toFixed(1)} s]\n`)
          for (const { id, complaints } of verdictsOfRow) for (const complaint of complaints) print(`[${id}: ${complaint}]\n`)
        },
        note: (sentence) => print(`\n[${sentence}]\n`),
      })
      rows += verdicts.length
      wrong.push(...verdicts.filter(({ complaints }) => complaints.length > 0))
    }
    const seconds = ((performance.now() - start) / 1000).toFixed(0)
    print(`\n${wrong.length === 0 ? `all ${rows} rows are as they should be` : `${wrong.length} of ${rows} rows are not as they should be: ${wrong.map(({ id }) => id).join(', ')}`}, ${seconds} s\n`)
    return wrong.length === 0 ? 0 : 1
  })
}

interface QuickstartArguments {
  readonly names: readonly PerformanceName[]
  readonly port: number
  readonly keep: boolean
}

async function readQuickstartArguments(argv: readonly string[]): Promise<QuickstartArguments> {
  const { values, positionals } = readArguments(argv, { port: { type: 'string' }, keep: { type: 'boolean' } }, USAGE)
  const names = positionals.map((name) => {
    if (isPerformance(name)) return name
    throw new ArgumentFault(`nothing is known of ${name}\nusage: ${USAGE}`)
  })
  const port = wholeNumber('port', values.port, USUAL_PORT, 1)
  if (port > 65_535 || !(await isFree(port))) throw new ArgumentFault(`port ${port} is in use; choose another --port`)
  return { names: names.length === 0 ? ['classic', 'modern'] : names, port, keep: values.keep === true }
}

function isPerformance(name: string): name is PerformanceName {
  return name in PERFORMANCES
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => { resolve(false) })
    server.listen(port, 'localhost', () => server.close(() => { resolve(true) }))
  })
}
