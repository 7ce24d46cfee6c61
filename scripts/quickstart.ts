import { createServer } from 'node:net'
import { missingClients } from '#test/support/real-clients.js'
import { ArgumentFault, readArguments, runScript, wholeNumber } from './arguments.js'
import { PERFORMANCES, performAll, type PerformanceName } from './quickstart-parts/performances.js'
import { type Printed, USUAL_PORT } from './quickstart-parts/playground.js'
import type { Direction, Row, Verdict } from './quickstart-parts/row.js'
import { NEEDED, Workbench } from './quickstart-parts/workbench.js'

const USAGE = 'npm run quickstart -- [classic | modern] [--port 3141] [--keep]'
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

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
    const interruption = new AbortController()
    const stop = (): void => interruption.abort()
    for (const signal of SIGNALS) process.once(signal, stop)
    try {
      return await performNamed({ names, port, keep, print, interrupted: interruption.signal })
    } finally {
      for (const signal of SIGNALS) process.off(signal, stop)
    }
  })
}

interface Performing extends QuickstartArguments {
  readonly print: (text: string) => unknown
  readonly interrupted: AbortSignal
}

async function performNamed({ names, port, keep, print, interrupted }: Performing): Promise<number> {
  const start = performance.now()
  await using bench = await Workbench.open({ keep })
  const verdicts: Verdict[] = []
  for (const name of names) {
    if (interrupted.aborted) break
    print(`== ${name}, in ${bench.path(name)}\n`)
    const tell: Direction['tell'] = (row, printed, verdictsOfRow) => print(transcript(row, printed, verdictsOfRow))
    verdicts.push(...(await performAll({ name, bench, port, tell, note: (sentence) => print(`\n[${sentence}]\n`), interrupted })))
  }
  if (interrupted.aborted) {
    print('\ninterrupted\n')
    return 130
  }
  const wrong = verdicts.filter(({ complaints }) => complaints.length > 0).map(({ id }) => id)
  const outcome = wrong.length === 0 ? `all ${verdicts.length} rows are as they should be` : `${wrong.length} of ${verdicts.length} rows are not as they should be: ${wrong.join(', ')}`
  print(`\n${outcome}, ${((performance.now() - start) / 1000).toFixed(0)} s\n`)
  return wrong.length === 0 ? 0 : 1
}

/** A command, what it printed, and in brackets what is to be said of it. */
function transcript({ command }: Row, { lines, code, seconds }: Printed, verdicts: readonly Verdict[]): string {
  const marks = verdicts.map(({ id, complaints }) => `${id} ${complaints.length === 0 ? 'ok' : 'WRONG'}`)
  const complaints = verdicts.flatMap(({ id, complaints: all }) => all.map((complaint) => `[${id}: ${complaint}]`))
  return ['', `$ ${command}`, ...lines, `[${marks.join(', ')}; exit status ${code}, ${seconds.toFixed(1)} s]`, ...complaints, ''].join('\n')
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
  if (port > 65_535) throw new ArgumentFault(`--port wants a number from 1 to 65535, not ${port}`)
  if (!(await isFree(port))) throw new ArgumentFault(`port ${port} is in use; choose another --port`)
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
