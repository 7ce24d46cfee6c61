import type { Playground, Printed } from './playground.js'

/** What is asked of a command of the acceptance table. */
export interface Row {
  /** As somebody would type it; `{port}` and its like stand for what the playground has. */
  readonly command: string
  readonly at: 'home' | 'project'
  readonly exit: number
  readonly checks: readonly Check[]
}

/** A row of the table, or a part of one: some commands are several rows. */
export interface Check {
  readonly id: string
  /** Patterns of whole lines, in their order; other lines may stand between them. See `line-pattern.ts`. */
  readonly lines: readonly string[]
  /** Patterns of lines that must not be there. */
  readonly never?: readonly string[]
  readonly effect?: Effect
}

/** Says in sentences what is not as it should be after the command. */
export type Effect = (playground: Playground, printed: Printed) => Promise<readonly string[]>

export interface Verdict {
  readonly id: string
  /** Empty when all is as the table has it. */
  readonly complaints: readonly string[]
}

export interface Direction {
  /** Hears of each command when it is done. */
  readonly tell: (row: Row, printed: Printed, verdicts: readonly Verdict[]) => void
  /** No further command is begun once it is aborted. */
  readonly interrupted?: AbortSignal | undefined
}

/** Runs the commands one after another. A wrong row does not keep back the next one. */
export async function perform(rows: readonly Row[], playground: Playground, { tell, interrupted }: Direction): Promise<Verdict[]> {
  const all: Verdict[] = []
  for (const row of rows) {
    if (interrupted?.aborted === true) break
    const printed = await playground.run(row.command, row.at)
    const verdicts = await judge(row, printed, playground)
    tell(row, printed, verdicts)
    all.push(...verdicts)
  }
  return all
}

async function judge({ exit, checks }: Row, printed: Printed, playground: Playground): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  let from = 0
  for (const [at, { id, lines, never = [], effect }] of checks.entries()) {
    const complaints = at === 0 && printed.code !== exit ? [`the exit status is ${printed.code}, not ${exit}`] : []
    for (const pattern of lines) {
      const found = playground.patterns.find(pattern, printed.lines, from)
      if (found === undefined) complaints.push(`there is no line, or not in this order: ${pattern}`)
      else from = found + 1
    }
    for (const pattern of never) {
      const found = playground.patterns.find(pattern, printed.lines, 0)
      if (found !== undefined) complaints.push(`there must be no line such as ${printed.lines[found] ?? ''}`)
    }
    if (effect !== undefined) complaints.push(...(await effect(playground, printed)))
    verdicts.push({ id, complaints })
  }
  return verdicts
}
