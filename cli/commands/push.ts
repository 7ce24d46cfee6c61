import * as Flags from '@oclif/core/flags'
import { isPep440 } from '#log-format/version.js'
import { type Context, DevpiCommand } from '../base-command.js'
import { Failure } from '../failure.js'
import { INDEX_FLAG, requiredArgument, textFlag } from '../flags.js'
import { listOf, spoken } from '../json.js'
import { findIndex, type IndexTarget } from '../place.js'
import { isOn, readProject, releaseFiles } from '../project.js'
import { readRepository, type Repository } from '../pypirc.js'
import { messageOf, type Reply } from '../reply.js'
import { storedPassword } from '../stored-passwords.js'
import { maskUrl } from '../urls.js'

const GOOD = [200, 201, 410]
const UNKNOWN_METHOD = [404, 405]

type Destination = { readonly kind: 'index'; readonly name: string } | { readonly kind: 'repository'; readonly repository: Repository }

interface Release {
  readonly name: string
  readonly version: string
}

/** One release from one index to another, or to another server. */
export default class Push extends DevpiCommand {
  static override summary = 'push a release to another index or another server'
  static override description = `All files of the release go, with their test results and documentation. TARGET is USER/NAME of an index on the same server, or
pypi:REPO, a section of ~/.pypirc.`
  static override examples = ['devpi push hello==1.0 alice/prod', 'devpi push hello==1.0 pypi:testpypi', 'devpi push --index alice/staging hello==1.0 alice/prod']
  static override args = { pkgspec: requiredArgument('name==version'), target: requiredArgument('USER/NAME or pypi:REPO') }
  static override flags = {
    index: INDEX_FLAG,
    'no-docs': Flags.boolean({ description: 'push no documentation' }),
    'only-docs': Flags.boolean({ description: 'push documentation alone' }),
    pypirc: textFlag({ description: 'another file than ~/.pypirc', helpValue: 'PATH' }),
    'register-project': Flags.boolean({ description: 'register the project at the other server first, which old ones need' }),
    'dry-run': Flags.boolean({ description: 'show what would be pushed' }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Push)
    if (flags['no-docs'] && flags['only-docs']) throw new Failure('CONFIG', "Can't use '--no-docs' and '--only-docs' together.")
    const context = await this.open(flags)
    const to = await destinationOf(context, args.target, flags.pypirc)
    const release = releaseOf(context, args.pkgspec)
    const from = await findIndex(context, flags.index)
    for (const flag of ['no-docs', 'only-docs', 'register-project'] as const) {
      if (flags[flag] && !from.features.includes(`push-${flag}`)) {
        throw new Failure('PUSH_FAILED', `The server doesn't support the '--${flag}' option, 6.14.0 or newer required.`)
      }
    }
    if (flags['dry-run']) return await preview(context, from, release, args.target)
    const body = {
      ...release,
      ...(to.kind === 'index' ? { targetindex: to.name } : await login(context, to.repository)),
      ...(flags['register-project'] && to.kind === 'repository' && { register_project: true }),
      ...(flags['no-docs'] && { no_docs: true }),
      ...(flags['only-docs'] && { only_docs: true }),
    }
    return showActions(context, await post(context, from, body))
  }
}

async function destinationOf(context: Context, text: string, pypirc: string | undefined): Promise<Destination> {
  const section = /^pypi:(.+)$/.exec(text)?.[1]
  if (section !== undefined) {
    const repository = await readRepository(context, section, pypirc)
    if (repository.isDefault) context.terminal.info(`using default pypi url ${repository.url}`)
    return { kind: 'repository', repository }
  }
  if (!/^[^/:]+\/[^/]+$/.test(text)) throw new Failure('CONFIG', `target '${text}' not of form USER/NAME or pypi:REPONAME`)
  return { kind: 'index', name: text }
}

/** `name==version`, or the old `name-version`. */
function releaseOf({ terminal }: Context, spec: string): Release {
  const [name = '', version = '', ...rest] = spec.split('==').map((part) => part.trim())
  if (rest.length === 0 && name !== '' && version !== '') return { name, version }
  const dash = [...spec.matchAll(/-/g)].map(({ index }) => index).find((at) => isPep440(spec.slice(at + 1)))
  if (spec.includes('=') || dash === undefined || dash === 0) throw new Failure('CONFIG', 'The release specification needs to be of this form: name==version')
  terminal.warn(`The form name-version is deprecated, use ${spec.slice(0, dash)}==${spec.slice(dash + 1)}`)
  return { name: spec.slice(0, dash), version: spec.slice(dash + 1) }
}

async function login(context: Context, { url, username, password }: Repository): Promise<object> {
  const secret = password ?? (await storedPassword(context, url, username)) ?? (await context.prompt.password(`password for user ${username} at ${maskUrl(url)}: `, 'TWINE_PASSWORD or the file'))
  return { posturl: url, username, password: secret }
}

/** With POST, or where a server does not know that here, with its own verb. */
async function post({ client }: Context, from: IndexTarget, json: object): Promise<Reply> {
  const reply = await client.api('POST', from.index, { json, tolerate: [...UNKNOWN_METHOD, 502] })
  const isUnknown = UNKNOWN_METHOD.includes(reply.status) && messageOf(reply) === undefined
  const last = isUnknown ? await client.api('PUSH', from.index, { json, tolerate: [502] }) : reply
  if (last.status >= 400 && last.json?.['type'] !== 'actionlog') throw await client.refusal(last)
  return last
}

function showActions({ terminal }: Context, reply: Reply): object {
  const actions = listOf(reply.json?.['result']).map((entry) => listOf(entry))
  for (const entry of actions) {
    const isGood = typeof entry[0] === 'number' && GOOD.includes(entry[0])
    for (const line of entry.map(spoken).join(' ').split('\n')) terminal.line(`   ${line}`, isGood ? 'plain' : 'error')
  }
  const ok = reply.status < 400 && actions.every(([status]) => typeof status === 'number' && GOOD.includes(status))
  const result = { actions: actions.map(([status, action, ...args]) => ({ status, action, args })), ok }
  if (!ok) throw new Failure('PUSH_FAILED', 'Failure during upload', { result })
  return result
}

async function preview({ client, terminal }: Context, from: IndexTarget, { name, version }: Release, to: string): Promise<object> {
  const found = (await readProject(client, from, name)).find((one) => one.version === version)
  const files = found === undefined ? [] : releaseFiles(found).filter((file) => isOn(file, from))
  if (files.length === 0) throw new Failure('NOT_FOUND', `there are no files for ${name} ${version} on ${from.index}`)
  for (const { basename } of files) terminal.line(`skipped: push of ${basename} to ${to}`)
  return { actions: files.map(({ basename }) => ({ status: null, action: 'dry run', args: [basename] })), ok: true }
}
