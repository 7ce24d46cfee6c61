import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sdist, wheel } from '#test/support/archives.js'
import { uploadForm } from '#test/support/upload-form.js'

/** One command of the reference client, what it printed, and the requests it sent. Their bodies were not recorded. */
export interface RecordedCommand {
  readonly command: string
  readonly exit: number
  readonly output: readonly string[]
  readonly http: readonly RecordedRequest[]
}

export interface RecordedRequest {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly req_body_len: number
  readonly req_headers: Readonly<Record<string, string>>
}

export function readSession(): RecordedCommand[] {
  const text = readFileSync(join(import.meta.dirname, '../../../test/golden/recordings/client-7.2.jsonl'), 'utf8')
  return text.trim().split('\n').map((line) => JSON.parse(line) as RecordedCommand)
}

const FILES = [wheel('hello-pkg', '1.0'), sdist('hello-pkg', '1.0'), wheel('other-pkg', '0.1'), sdist('other-pkg', '0.1')]

/** The body that the client sends with a request of a command (`spec/server-http.md` 20 and 21). */
export function bodyOf({ command }: RecordedCommand, { method, path }: RecordedRequest, position: number): string | FormData | undefined {
  const words = command.split(' ').slice(1).filter((word) => word !== '-y')
  if (path === '/+login') return JSON.stringify({ user: words[1], password: words[2]?.replace('--password=', '') })
  if (path.includes('/+f/')) return method === 'POST' ? JSON.stringify({ testenvs: {} }) : undefined
  if (method === 'POST') return formOf(words, position)
  if (method === 'PUSH') {
    const [name, version] = words[1]?.split('==') ?? []
    return JSON.stringify({ name, version, targetindex: words[2] })
  }
  if (method === 'PUT') return JSON.stringify(settingsOf(words.slice(3)))
  // `devpi user` sends back an object, `devpi index` the operations it was given; a title may hold a blank.
  if (method === 'PATCH') return JSON.stringify(words[0] === 'user' ? settingsOf(words.slice(3)) : [words.slice(2).join(' ')])
  return undefined
}

function settingsOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(words.map((word) => word.split('=') as [string, string]))
}

/** The first upload is of hello-pkg, sdist before wheel; the others of other-pkg. */
function formOf(words: readonly string[], position: number): FormData {
  const [name, first] = words.includes('--no-isolation') ? ['hello_pkg', 1] : ['other_pkg', 2]
  const file = FILES[first === 1 ? 1 - position : first + position]
  if (file === undefined) throw new Error(`no file for ${words.join(' ')}`)
  return uploadForm({ ...file, name: name.replace('_', '-'), version: first === 1 ? '1.0' : '0.1' })
}
