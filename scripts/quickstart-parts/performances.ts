import { QUICKSTART, STOP } from './classic-rows.js'
import { PYPROJECT, SETUP_PY, writeProject } from './example-project.js'
import { MODERN_START } from './modern-rows.js'
import { Playground } from './playground.js'
import { releaseRows } from './release-rows.js'
import { type Direction, perform, type Row, type Verdict } from './row.js'
import type { Workbench } from './workbench.js'

interface Performance {
  readonly project: Readonly<Record<string, string>>
  readonly start: readonly Row[]
  readonly rest: readonly Row[]
}

/** The acceptance table with `devpi quickstart`, and the one in which every step is done by hand. */
export const PERFORMANCES = {
  classic: {
    project: SETUP_PY,
    start: [QUICKSTART],
    rest: [...releaseRows({ files: ['example-1.0.tar.gz'], test: 'devpi test example' }), STOP],
  },
  modern: {
    project: PYPROJECT,
    start: MODERN_START,
    rest: [...releaseRows({ files: ['example-1.0-py3-none-any.whl', 'example-1.0.tar.gz'], test: 'devpi test --tox-args="-q" example' }), STOP],
  },
} as const satisfies Readonly<Record<string, Performance>>

export type PerformanceName = keyof typeof PERFORMANCES

export interface Staging extends Direction {
  readonly name: PerformanceName
  readonly bench: Workbench
  /** Of the server. */
  readonly port: number
  /** Hears of what is done beside the table. */
  readonly note?: (sentence: string) => void
}

/** Performs one of them from an empty home to a stopped server. */
export async function performAll({ name, bench, port, tell, note, interrupted }: Staging): Promise<Verdict[]> {
  const { project, start, rest } = PERFORMANCES[name]
  await using playground = await Playground.open(bench, { name, port })
  await bench.clear()
  await writeProject(playground, project)
  const direction: Direction = { tell: (row, ...more) => { tell({ ...row, command: playground.patterns.fill(row.command) }, ...more) }, interrupted }
  const verdicts = await perform(start, playground, direction)
  if (interrupted?.aborted === true) return verdicts
  await playground.mirrorPublicIndex()
  note?.(`root/pypi of ${playground.url} now mirrors ${bench.publicIndex}, which has the Python packages that are installed here`)
  verdicts.push(...(await perform(rest, playground, direction)))
  return verdicts
}
