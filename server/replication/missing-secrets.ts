import { checkEntry } from '#log-format/checked-entry.js'
import { keys, locatePath } from '#log-format/keys.js'
import type { ForeignMutation, Mutation } from '#log-format/mutation.js'
import { nextSerial } from '#log-format/serial.js'
import type { Reader } from '#server/storage/reader.js'
import type { Storage } from '#server/storage/storage.js'

/** Names in a sentence; of more, only how many. */
const MOST_NAMES = 10

/** What a replica lacks of the vault of its primary, as far as the log tells. */
export interface MissingSecrets {
  /** Users whose password is new. */
  readonly passwords: ReadonlySet<string>
  /** Users who have new API tokens. */
  readonly tokens: ReadonlySet<string>
  /** Mirrors, as `user/index`, of which something was set: the log does not say whether credentials of the upstream were among it. */
  readonly upstreams: ReadonlySet<string>
}

/**
 * Looks through the entries that came after the newest secrets: the log says of
 * each secret that it changed, if not to what. Of what was deleted since, nothing is missing.
 */
export async function missingSecrets(storage: Storage): Promise<MissingSecrets> {
  const missing = { passwords: new Set<string>(), tokens: new Set<string>(), upstreams: new Set<string>() }
  const reader = storage.reader()
  for await (const entries of storage.entries.read(nextSerial(storage.secretsSerial))) {
    for (const { bytes } of entries) {
      const { mutation, slices } = checkEntry(bytes)
      if (mutation.kind === 'removal-undone') continue // brings no secrets back
      if (hasNewPassword(mutation) && (await isUser(reader, mutation.user))) missing.passwords.add(mutation.user)
      for (const path of [...slices.changes.map(({ path }) => path), ...namedIn(mutation)]) await addChanged(missing, { path, mutation, reader })
    }
  }
  return missing
}

interface ChangedKey {
  readonly path: string
  readonly mutation: Mutation | ForeignMutation
  readonly reader: Reader
}

async function addChanged(missing: { readonly [K in keyof MissingSecrets]: Set<string> }, { path, mutation, reader }: ChangedKey): Promise<void> {
  const { family, segments } = locatePath(path)
  if (family === keys.user.family && mutation.kind !== 'user-modified') {
    const { user } = keys.user.params(segments)
    if (await isUser(reader, user)) missing.passwords.add(user)
  } else if (family === keys.token.family) {
    const token = keys.token.params(segments)
    if ((await reader.get(keys.token(token))) !== undefined) missing.tokens.add(token.user)
  } else if (family === keys.index.family) {
    const { user, index } = keys.index.params(segments)
    if ((await reader.get(keys.index({ user, index })))?.type === 'mirror') missing.upstreams.add(`${user}/${index}`)
  }
}

/** Keys that stay as they are when only a secret beside them is new. */
function namedIn(mutation: Mutation | ForeignMutation): readonly string[] {
  const { kind, user, index }: { readonly kind: string; readonly user?: unknown; readonly index?: unknown } = mutation
  return kind === 'index-modified' && typeof user === 'string' && typeof index === 'string' ? [keys.index({ user, index }).path] : []
}

function hasNewPassword(mutation: Mutation | ForeignMutation): mutation is Extract<Mutation, { kind: 'user-modified' }> {
  return mutation.kind === 'user-modified' && Array.isArray(mutation['fields']) && mutation['fields'].includes('password')
}

async function isUser(reader: Reader, user: string): Promise<boolean> {
  return (await reader.get(keys.user({ user }))) !== undefined
}

/** What is missing, for people; undefined when that is nothing. */
export function missingSentence({ passwords, tokens, upstreams }: MissingSecrets): string | undefined {
  const parts = [
    ...(passwords.size > 0 ? [`new passwords of ${counted(passwords, 'user')}`] : []),
    ...(tokens.size > 0 ? [`new API tokens of ${counted(tokens, 'user')}`] : []),
    ...(upstreams.size > 0 ? [`credentials for the upstream of ${counted(upstreams, 'mirror')}, if there were any`] : []),
  ]
  return parts.length === 0 ? undefined : parts.join(', and ')
}

function counted(names: ReadonlySet<string>, noun: string): string {
  const shown = [...names].sort().slice(0, MOST_NAMES)
  const more = names.size - shown.length
  return `${names.size} ${noun}${names.size === 1 ? '' : 's'} (${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''})`
}
