import { QUICKSTART, STOP } from './classic-rows.js'
import { PYPROJECT, SETUP_PY, writeProject } from './example-project.js'
import { MODERN_START } from './modern-rows.js'
import { Playground, type Printed } from './playground.js'
import { releaseRows } from './release-rows.js'
import { perform, type Row, type Verdict } from './row.js'
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

/** Hears of every command when it is done, and of what was done beside the table. */
export interface Audience {
  readonly done: (row: Row, printed: Printed, verdicts: readonly Verdict[]) => void
  readonly note: (sentence: string) => void
}

/** Performs one of them from an empty home to a stopped server. */
export async function performAll(name: PerformanceName, bench: Workbench, port: number, audience: Audience): Promise<Verdict[]> {
  const { project, start, rest } = PERFORMANCES[name]
  await using playground = await Playground.open(bench, { name, port })
  await writeProject(playground, project)
  const tell = (row: Row, printed: Printed, verdicts: readonly Verdict[]): void => audience.done({ ...row, command: playground.patterns.fill(row.command) }, printed, verdicts)
  const verdicts = await perform(start, playground, tell)
  await playground.mirrorPublicIndex()
  audience.note(`root/pypi of ${playground.url} now mirrors ${bench.publicIndex}, which has the Python packages that are installed here`)
  verdicts.push(...(await perform(rest, playground, tell)))
  await bench.clear()
  return verdicts
}
