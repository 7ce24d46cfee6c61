import { copyFile, mkdir, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Context } from './base-command.js'
import { changeIniList, differenceOf, type Edited, setIniKey, setTomlKey } from './config-editors.js'
import { type InstallerFile, installerFiles } from './installer-config.js'
import type { IndexTarget } from './place.js'
import { codeOf, replaceFile } from './state-files.js'
import { maskPassword, withCredentials } from './urls.js'

export type TrustChoice = 'yes' | 'no' | 'auto'

/** Where each installer keeps the address of its index. */
const PLACES = {
  easy_install: { section: 'easy_install', keys: ['index_url', 'index-url'] },
  pip: { section: 'global', keys: ['index-url', 'index_url'] },
  buildout: { section: 'buildout', keys: ['index'] },
} as const

/**
 * Writes the address of the index into the files of installers, each as a
 * whole and with a copy of what it was beside it, and shows what changes. A file that is not understood stays as it is,
 * and the user is told the line to write.
 */
export async function writeInstallerFiles(context: Context, target: IndexTarget, venv: string | undefined, trust: TrustChoice): Promise<void> {
  const { session, env, cwd } = context
  const credentials = session.basicAuthFor(target.simpleindex)
  const url = credentials === undefined ? target.simpleindex : withCredentials(target.simpleindex, credentials)
  const decision = trustDecision(context, target, trust)
  for (const file of installerFiles({ env, cwd, venv })) await writeOne(context, file, { url, decision, secret: credentials !== undefined })
}

interface Writing {
  readonly url: string
  readonly decision: TrustDecision
  /** The address holds a password. */
  readonly secret: boolean
}

async function writeOne({ terminal }: Context, { tool, path }: InstallerFile, { url, decision, secret }: Writing): Promise<void> {
  const before = await readFile(path, 'utf8').catch((error: unknown) => (codeOf(error) === 'ENOENT' ? '' : undefined))
  const after = before === undefined ? undefined : edited(tool, before, url, decision)
  if (after === undefined) {
    terminal.warn(`${path} is not understood and stays as it is; its index would be ${maskPassword(url)}`)
    return
  }
  if (after === before) return
  await mkdir(dirname(path), { recursive: true })
  const old = await stat(path).catch(() => undefined)
  if (old !== undefined) await copyFile(path, `${path}.${new Date().toISOString().replace(/[:.]/g, '-')}.bak`)
  await replaceFile(path, after, secret ? 0o600 : old === undefined ? 0o644 : old.mode & 0o777)
  terminal.note(`wrote ${path}`)
  for (const line of differenceOf(before ?? '', after)) terminal.note(`    ${maskPassword(line)}`)
}

function edited(tool: InstallerFile['tool'], text: string, url: string, decision: TrustDecision): Edited {
  if (tool === 'uv') return setTomlKey(text, 'index-url', url)
  const { section, keys } = PLACES[tool]
  const after = setIniKey(text, section, keys, url)
  if (after === undefined || tool !== 'pip' || decision.change === undefined) return after
  return changeIniList(after, section, ['trusted-host'], decision.host, decision.change)
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
