import { readFile } from 'node:fs/promises'
import { type Context, DevpiCommand } from '../base-command.js'
import { documentText, documentUrl } from '../document-url.js'
import { Failure } from '../failure.js'
import { requiredArgument } from '../flags.js'
import { parseJson } from '../json.js'
import { expandPath } from '../session.js'
import { codeOf } from '../system-faults.js'

/** Sends a JSON document to an address of the server. */
export default class Patchjson extends DevpiCommand {
  static override summary = 'send a JSON file to the server with PATCH'
  static override description = 'PATH counts from the server when it begins with a slash, else from the current index. JSONFILE is - for standard input.'
  static override examples = ['devpi patchjson /alice/dev changes.json', `echo '["bases+=root/pypi"]' | devpi patchjson /alice/dev -`]
  static override args = { path: requiredArgument('what to change'), jsonfile: requiredArgument('file with an object or a list, or -') }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Patchjson)
    const context = await this.open(flags)
    const url = documentUrl(context, args.path)
    const body = await documentIn(context, args.jsonfile)
    const reply = await context.client.api('PATCH', url, { json: body, checkVersion: false })
    context.terminal.line(`PATCH REQUEST sent to ${url}`)
    context.terminal.line(documentText(reply.json ?? {}))
    return reply.json ?? {}
  }
}

async function documentIn({ prompt, env, cwd }: Context, file: string): Promise<unknown> {
  const text = file === '-' ? await prompt.fromInput() : await readFile(expandPath(file, env, cwd), 'utf8').catch((error: unknown) => {
    throw new Failure('CONFIG', `cannot read ${file}: ${codeOf(error) ?? 'unknown fault'}`, { cause: error })
  })
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null) throw new Failure('CONFIG', `${file === '-' ? 'standard input' : file} holds no JSON object or list`)
  return value
}
