import { isObject, type JsonObject, listOf, objectOf, spoken, textOf } from './json.js'

export type Verdict = 'no setup was performed' | 'setup failed' | 'no tests were run' | 'tests failed' | 'tests passed'

/** How one environment of a test report went. */
export interface ToxRun {
  readonly host: string
  readonly platform: string
  readonly env: string
  /** Undefined as long as the environment was not set up. */
  readonly python: string | undefined
  readonly setup: 'passed' | 'failed' | 'absent'
  readonly test: 'passed' | 'failed' | 'absent'
  readonly commands: { readonly setup: readonly ToxCommand[]; readonly test: readonly ToxCommand[] }
}

export interface ToxCommand {
  readonly command: string
  readonly output: string
  readonly failed: boolean
}

/** The environments of a report; undefined for what is no report. */
export function readToxReport(report: unknown): ToxRun[] | undefined {
  if (!isObject(report) || !isObject(report['testenvs'])) return undefined
  return Object.entries(report['testenvs']).map(([env, found]) => {
    const run = objectOf(found)
    const setup = commandsOf(run['setup'])
    const test = commandsOf(run['test'])
    return {
      host: textOf(report['host']) ?? '',
      platform: textOf(report['platform']) ?? '',
      env,
      python: textOf(objectOf(run['python'])['version'])?.split(/\s/)[0],
      setup: stateOf(setup),
      test: stateOf(test),
      commands: { setup, test },
    }
  })
}

function commandsOf(value: unknown): ToxCommand[] {
  return listOf(value).map((item) => {
    const step: JsonObject = objectOf(item)
    const retcode = step['retcode']
    return {
      command: Array.isArray(step['command']) ? step['command'].map(spoken).join(' ') : (textOf(step['command']) ?? ''),
      output: textOf(step['output']) ?? '',
      failed: retcode !== undefined && retcode !== null && Number(retcode) !== 0,
    }
  })
}

function stateOf(commands: readonly ToxCommand[]): 'passed' | 'failed' | 'absent' {
  if (commands.length === 0) return 'absent'
  return commands.some(({ failed }) => failed) ? 'failed' : 'passed'
}

/** What is printed of a run, a line for its setup if that went wrong and one for its tests. */
export function verdictsOf({ setup, test }: ToxRun): readonly { readonly verdict: Verdict; readonly of: 'setup' | 'test' }[] {
  const setupVerdict: Verdict | undefined = setup === 'absent' ? 'no setup was performed' : setup === 'failed' ? 'setup failed' : undefined
  const testVerdict: Verdict = test === 'absent' ? 'no tests were run' : test === 'failed' ? 'tests failed' : 'tests passed'
  return [...(setupVerdict === undefined ? [] : [{ verdict: setupVerdict, of: 'setup' as const }]), { verdict: testVerdict, of: 'test' as const }]
}

/** One line of `list`. The version of Python is told only where the setup did not fail. */
export function verdictLine({ host, platform, env, python, setup }: ToxRun, verdict: Verdict): string {
  const isKnown = python !== undefined && setup !== 'failed'
  return `${host.padEnd(10)} ${platform.padEnd(7)} ${env.padEnd(10)} ${isKnown ? `${python} ` : ''}${verdict}`
}
