import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand } from '../base-command.js'
import { Failure, type FailureCode, usageError } from '../failure.js'
import { argument, INDEX_FLAG, textFlag } from '../flags.js'
import { mapParallel } from '../parallel.js'
import { findIndex, type IndexTarget } from '../place.js'
import { splitWords } from '../tox.js'
import { type Run, testRelease, type TestOptions } from '../tox-runs.js'

const MOST_JOBS = 64

/** Downloads releases, runs their tests with tox, and attaches the reports. */
export default class Test extends DevpiCommand {
  static override summary = 'download releases and test them with tox'
  static override description = `The newest version that matches each PKGSPEC is downloaded, its digest checked, unpacked, and tested with tox: its sdist, and its
wheels for any platform. The report is attached to the file that was tested, where \`devpi list\` shows it. Of several releases, one that fails does
not keep the others back.`
  static override examples = ['devpi test hello', 'devpi test -e py311 "hello<2"', 'devpi test --tox-args="-v" hello', 'devpi test --list hello']
  static override strict = false
  static override args = { pkgspec: argument('project or requirement; one or more') }
  static override usage = 'test PKGSPEC... [options]'
  static override flags = {
    index: INDEX_FLAG,
    env: textFlag({ char: 'e', description: 'environments to run, separated by commas', helpValue: 'ENVNAME' }),
    config: textFlag({ char: 'c', description: 'settings of tox instead of those of the package', helpValue: 'PATH' }),
    'fallback-ini': textFlag({ description: 'settings of tox for packages without any', helpValue: 'PATH' }),
    'tox-args': textFlag({ description: 'further words for tox', aliases: ['toxargs'], helpValue: 'WORDS' }),
    jobs: textFlag({ char: 'j', description: 'how many environments to run at a time, in one package or several', helpValue: 'N' }),
    detox: Flags.boolean({ char: 'd', description: 'run environments at the same time', hidden: true }),
    'no-upload': Flags.boolean({ description: 'keep the report to yourself' }),
    select: textFlag({ char: 's', description: 'only files whose name matches, wheels for a platform too', helpValue: 'REGEX' }),
    list: Flags.boolean({ char: 'l', description: 'show what would be tested' }),
  }

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(Test)
    const specs = argv.map(String)
    if (specs.length === 0) throw usageError('the following arguments are required: pkgspec')
    const jobs = jobsOf(flags.jobs)
    const releasesAtOnce = Math.min(jobs, specs.length)
    const options: TestOptions = {
      tox: {
        env: flags.env,
        config: flags.config,
        fallbackIni: flags['fallback-ini'],
        extra: [...splitWords(flags['tox-args'] ?? ''), ...parallelWords(flags.detox, Math.floor(jobs / releasesAtOnce))],
      },
      select: flags.select === undefined ? undefined : patternOf(flags.select),
      onlyList: flags.list,
      upload: !flags['no-upload'],
      output: releasesAtOnce > 1 ? 'at the end' : 'live',
    }
    const context = await this.open(flags)
    const target = await findIndex(context, flags.index)
    if (specs.length === 1) return resultOf(await testRelease(context, target, specs.join(), options), [])
    const outcomes = await mapParallel(specs, releasesAtOnce, (spec) => outcomeOf(context, target, spec, options))
    return resultOf(outcomes.flatMap(({ runs }) => runs), outcomes.flatMap(({ fault }) => fault ?? []))
  }
}

/** A release that could not be tested; an entry of `failed` with `--json`. */
interface Fault {
  readonly spec: string
  readonly code: FailureCode
  readonly message: string
}

/** Of several releases, one that cannot be tested does not keep the others back; an end of everything does. */
async function outcomeOf(context: Context, target: IndexTarget, spec: string, options: TestOptions): Promise<{ readonly runs: readonly Run[]; readonly fault?: Fault }> {
  try {
    return { runs: await testRelease(context, target, spec, options) }
  } catch (error) {
    if (!(error instanceof Failure) || error.code === 'CANCELLED' || error.code === 'LOGIN_EXPIRED') throw error
    context.terminal.error(error.message)
    if (error.hint !== undefined) context.terminal.note(error.hint)
    return { runs: [], fault: { spec, code: error.code, message: error.message } }
  }
}

function resultOf(runs: readonly Run[], failed: readonly Fault[]): object {
  const worst = runs.map(({ toxExit }) => toxExit ?? 0).find((code) => code !== 0)
  const result = { runs, ...(failed.length > 0 && { failed }), ok: worst === undefined && failed.length === 0 }
  if (worst !== undefined) throw new Failure('TEST_FAILED', `tox command failed ${worst}`, { result })
  if (failed.length > 0) throw new Failure('TEST_FAILED', `not tested: ${failed.map(({ spec }) => spec).join(', ')}`, { result })
  return result
}

/** What makes tox, 3.7 and newer, run environments at the same time. */
function parallelWords(asMany: boolean, jobs: number): string[] {
  if (asMany) return ['-p', 'auto']
  return jobs > 1 ? ['-p', String(jobs)] : []
}

function jobsOf(text: string | undefined): number {
  if (text === undefined) return 1
  if (/^[1-9]\d?$/.test(text) && Number(text) <= MOST_JOBS) return Number(text)
  throw usageError(`argument --jobs: '${text}' is no number from 1 to ${MOST_JOBS}`)
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch {
    throw usageError(`argument --select: '${text}' is no regular expression`)
  }
}
