import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand } from '../base-command.js'
import { runChild } from '../children.js'
import { Failure, usageError } from '../failure.js'
import { argument, INDEX_FLAG, textFlag } from '../flags.js'
import { installerEnvironment } from '../pip-environment.js'
import { findIndex } from '../place.js'
import { findProgram, findVenv, type Venv } from '../venv.js'

/** Installs from the index with pip or uv. */
export default class Install extends DevpiCommand {
  static override summary = 'install packages from the index'
  static override description = `Runs pip, of the named, active or remembered virtual environment or the first on PATH, against the current index, pre-releases
included. The exit code is that of pip.`
  static override examples = ['devpi install hello', 'devpi install --venv env hello==1.0', 'devpi install -r requirements.txt', 'devpi install -e .']
  static override strict = false
  static override args = { pkg: argument('requirement, or with -r a file of them; any number') }
  static override usage = 'install [PKG...] [options]'
  static override flags = {
    index: INDEX_FLAG,
    'list-installed': Flags.boolean({ char: 'l', description: 'list what is installed' }),
    editable: textFlag({ char: 'e', description: 'install a project in place', helpValue: 'PATH' }),
    venv: textFlag({ description: 'virtual environment to install into', helpValue: 'PATH|NAME' }),
    requirement: Flags.boolean({ char: 'r', description: 'the arguments are requirement files' }),
    uv: Flags.boolean({ description: 'use uv instead of pip' }),
    'no-pre': Flags.boolean({ description: 'leave pre-releases out' }),
  }

  async run(): Promise<object> {
    const { argv, flags } = await this.parse(Install)
    const packages = argv.map(String)
    if (flags.editable !== undefined && packages.length > 0) throw new Failure('CONFIG', 'cannot specify packagespecs and --editable')
    const bad = packages.find((name) => name.startsWith('-'))
    if (bad !== undefined) throw usageError(`unrecognized arguments: ${bad}`)
    const context = await this.open(flags)
    const target = await findIndex(context, flags.index)
    const venv = findVenv(context, flags.venv)
    if (flags['list-installed']) {
      context.terminal.info(`list of installed packages on ${venv?.folder ?? 'None'}`)
      return await finish(context, installerOf(context, venv, flags.uv), ['list'], {})
    }
    const installer = installerOf(context, venv, flags.uv)
    const what = flags.editable !== undefined ? ['--editable', flags.editable] : packages.flatMap((name) => (flags.requirement ? ['--requirement', name] : [name]))
    if (what.length === 0) return await finish(context, [installer[0] ?? ''], ['--version'], {})
    const url = installerEnvironment(context, target)
    const env = {
      ...url,
      ...(flags.uv ? { UV_DEFAULT_INDEX: url['PIP_INDEX_URL'], PIP_INDEX_URL: undefined } : { PIP_USE_WHEEL: '1' }),
      ...(!flags['no-pre'] && (flags.uv ? { UV_PRERELEASE: 'allow' } : { PIP_PRE: '1' })),
      ...(flags.uv && venv !== undefined && { VIRTUAL_ENV: venv.folder }),
      PYTHONDONTWRITEBYTECODE: undefined,
      __PYVENV_LAUNCHER__: undefined,
    }
    return await finish(context, installer, ['install', '-U', ...what], env)
  }
}

function installerOf({ env }: Context, venv: Venv | undefined, uv: boolean): string[] {
  const found = findProgram(uv ? 'uv' : 'pip', venv, env)
  if (found === undefined) throw new Failure('CONFIG', `no ${uv ? 'uv' : 'pip'} binary found`)
  return uv ? [found, 'pip'] : [found]
}

async function finish(context: Context, installer: readonly string[], args: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<object> {
  const { code } = await runChild(context, [...installer, ...args], { cwd: context.cwd, env, output: 'shown' })
  const result = { pip: installer[0], args, exitCode: code }
  if (code !== 0) throw new Failure('INSTALL_FAILED', 'command failed', { exitCode: code, result })
  return result
}
