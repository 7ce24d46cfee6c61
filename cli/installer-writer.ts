import { copyFile, mkdir, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Context } from './base-command.js'
import { changeIniList, differenceOf, type Edited, readIniKey, setIniKey } from './config-editors.js'
import { filesToWrite, type InstallerFile, PUBLISH_NAME, PUBLISHING } from './installer-config.js'
import type { IndexTarget } from './place.js'
import { replaceFile } from './state-files.js'
import { codeOf } from './system-faults.js'
import { setTomlKey } from './toml-editor.js'
import { maskPassword, withCredentials } from './urls.js'

export type TrustChoice = 'yes' | 'no' | 'auto'

/**
 * Writes the address of the index into the files of installers and of tools
 * for publishing, each as a whole and with a copy of what it was beside it, and shows what changes. A file that is not
 * understood stays as it is, and the user is told the line to write.
 */
export async function writeInstallerFiles(context: Context, target: IndexTarget, venv: string | undefined, trust: TrustChoice): Promise<void> {
  const { session, env, cwd, client } = context
  const { simpleindex, pypisubmit } = target
  const credentials = session.basicAuthFor(simpleindex)
  const user = client.loginFor(target.root)?.user
  const writing: Writing = {
    install: credentials === undefined ? simpleindex : withCredentials(simpleindex, credentials),
    search: `${target.index}/`,
    publish: pypisubmit,
    user: user === '__token__' ? undefined : user,
    decision: trustDecision(context, target, trust),
    secret: credentials !== undefined,
  }
  for (const file of filesToWrite({ env, cwd, venv })) await writeOne(context, file, writing)
}

interface Writing {
  readonly install: string
  /** Where `pip search` asks. */
  readonly search: string
  /** Undefined for an index that takes no uploads. */
  readonly publish: string | undefined
  readonly user: string | undefined
  readonly decision: TrustDecision
  /** The address for installers holds a password. */
  readonly secret: boolean
}

async function writeOne({ terminal }: Context, { tool, path }: InstallerFile, writing: Writing): Promise<void> {
  const url = PUBLISHING.includes(tool) ? writing.publish : writing.install
  if (url === undefined) return
  const before = await readFile(path, 'utf8').catch((error: unknown) => (codeOf(error) === 'ENOENT' ? '' : undefined))
  const after = before === undefined ? undefined : edited(tool, before, url, writing)
  if (after === undefined) {
    terminal.warn(`${path} is not understood and stays as it is; its index would be ${maskPassword(url)}`)
    return
  }
  if (after === before) return
  await mkdir(dirname(path), { recursive: true })
  const old = await stat(path).catch(() => undefined)
  if (old !== undefined) await copyFile(path, `${path}.${new Date().toISOString().replace(/[:.]/g, '-')}.bak`)
  const isSecret = tool === 'twine' || (writing.secret && !PUBLISHING.includes(tool)) // people keep passwords in a .pypirc
  await replaceFile(path, after, isSecret ? 0o600 : old === undefined ? 0o644 : old.mode & 0o777)
  terminal.note(`wrote ${path}`)
  for (const line of differenceOf(before ?? '', after)) terminal.note(`    ${line}`)
}

function edited(tool: InstallerFile['tool'], text: string, url: string, writing: Writing): Edited {
  switch (tool) {
    case 'easy_install':
      return setIniKey(text, 'easy_install', ['index_url', 'index-url'], url)
    case 'buildout':
      return setIniKey(text, 'buildout', ['index'], url)
    case 'pip':
      return editedPip(text, url, writing)
    case 'uv':
      return setTomlKey(text, ['index-url'], url)
    case 'poetry':
      return setTomlKey(text, ['repositories', PUBLISH_NAME, 'url'], url)
    case 'pdm':
      return setTomlKey(text, ['pypi', 'url'], url)
    case 'twine':
      return editedPypirc(text, url, writing.user)
  }
}

function editedPip(text: string, url: string, { search, decision }: Writing): Edited {
  const after = inTurn(text, (before) => setIniKey(before, 'global', ['index-url', 'index_url'], url), (before) => setIniKey(before, 'search', ['index'], search))
  if (after === undefined || decision.change === undefined) return after
  return changeIniList(after, 'global', ['trusted-host'], decision.host, decision.change)
}

/** A list of servers leaves out those that twine knows by itself, so that these are named with ours. */
function editedPypirc(text: string, url: string, user: string | undefined): Edited {
  const listed = readIniKey(text, 'distutils', ['index-servers'])
  return inTurn(
    text,
    (before) => (listed === undefined ? setIniKey(before, 'distutils', ['index-servers'], ['pypi', 'testpypi', PUBLISH_NAME].join('\n    ')) : changeIniList(before, 'distutils', ['index-servers'], PUBLISH_NAME, 'add')),
    (before) => (user === undefined ? before : setIniKey(before, PUBLISH_NAME, ['username'], user)),
    (before) => setIniKey(before, PUBLISH_NAME, ['repository'], url),
  )
}

function inTurn(text: string, ...edits: readonly ((text: string) => Edited)[]): Edited {
  return edits.reduce<Edited>((before, edit) => (before === undefined ? undefined : edit(before)), text)
}

interface TrustDecision {
  readonly host: string
  /** Undefined: whatever is there stays. */
  readonly change: 'add' | 'remove' | undefined
}

/** Plain http to another machine, and certificates that are not checked, take pip's word that it is meant. */
function trustDecision({ session, terminal }: Context, { simpleindex }: IndexTarget, trust: TrustChoice): TrustDecision {
  const { host, hostname, protocol } = new URL(simpleindex)
  if (trust !== 'auto') return { host, change: trust === 'yes' ? 'add' : 'remove' }
  const isLocal = hostname === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(hostname) || hostname === '[::1]'
  if (protocol === 'http:' && !isLocal) {
    terminal.note('Warning: insecure http host, trusted-host will be set for pip')
    return { host, change: 'add' }
  }
  return { host, change: session.settingsFor(simpleindex).insecure === true || session.setTrusted === true ? 'add' : undefined }
}
