import { PERFORMANCES, performAll, type PerformanceName } from '#scripts/quickstart-parts/performances.js'
import { NEEDED, Workbench } from '#scripts/quickstart-parts/workbench.js'
import { freePort } from '#test/support/free-port.js'
import { testWith } from '#test/support/real-clients.js'

let bench: Workbench | undefined
afterAll(() => bench?.[Symbol.asyncDispose]())

const ROWS: Readonly<Record<PerformanceName, readonly string[]>> = {
  classic: ['1a', '1b', '1c', '1d', '1e', '1f'],
  modern: ['M1', 'M2', 'M3', 'M4', 'M5', 'M6', 'M7'],
}
const SHARED = Array.from({ length: 20 }, (_, at) => String(at + 2))

testWith(NEEDED).each(Object.keys(PERFORMANCES) as PerformanceName[])(
  'every row of the %s quickstart is as the acceptance table has it',
  async (name) => {
    bench ??= await Workbench.open()
    const transcript: string[] = []
    const verdicts = await performAll({
      name,
      bench,
      port: await freePort(),
      tell: ({ command }, { lines }, verdictsOfRow) => {
        if (verdictsOfRow.some(({ complaints }) => complaints.length > 0)) transcript.push(`$ ${command}`, ...lines)
      },
    })
    expect({ wrong: verdicts.filter(({ complaints }) => complaints.length > 0), transcript }).toEqual({ wrong: [], transcript: [] })
    expect(verdicts.map(({ id }) => id)).toEqual([...ROWS[name], ...SHARED])
  },
  600_000,
)
