import { type ForeignMutation, isMutationKind, type Mutation } from './mutation.js'

/** What was asked for, in words. A kind of a newer release is shown by its name. */
export function mutationText(mutation: Mutation | ForeignMutation): string {
  return isKnown(mutation) ? knownText(mutation) : `did ${mutation.kind}`
}

function isKnown(mutation: Mutation | ForeignMutation): mutation is Mutation {
  return isMutationKind(mutation.kind)
}

function knownText(mutation: Mutation): string {
  switch (mutation.kind) {
    case 'server-initialised':
      return 'initialised the server'
    case 'user-created':
      return `created user ${mutation.user}`
    case 'user-modified':
      return userChangeText(mutation)
    case 'user-deleted':
      return `deleted user ${mutation.user}`
    case 'token-created':
      return `created API token ${mutation.id} '${mutation.name}' of user ${mutation.user}: ${mutation.actions.join(', ')} on ${mutation.indexes.join(', ')}${until(mutation)}`
    case 'token-revoked':
      return `revoked API token ${mutation.id} '${mutation.name}' of user ${mutation.user}`
    case 'group-created':
      return `created group ${mutation.group}${members(': ', mutation.members)}`
    case 'group-modified':
      return `changed group ${mutation.group}${members(': added ', mutation.added)}${members(': removed ', mutation.removed)}`
    case 'group-deleted':
      return `deleted group ${mutation.group}${members(', which had ', mutation.members)}`
    case 'index-created':
      return `created index ${mutation.user}/${mutation.index}`
    case 'index-modified':
      return `changed ${Object.keys({ ...mutation.before, ...mutation.after }).join(', ')} of index ${mutation.user}/${mutation.index}`
    case 'index-deleted':
      return `deleted index ${mutation.user}/${mutation.index}`
    case 'index-cloned':
      return `created index ${mutation.user}/${mutation.index} as a clone of ${mutation.source} at ${mutation.serial}`
    case 'index-renamed':
      return `renamed index ${mutation.user}/${mutation.index} to ${mutation.user}/${mutation.to}`
    case 'version-registered':
      return `registered ${release(mutation)}`
    case 'file-uploaded':
      return `uploaded ${mutation.file} (${mutation.size} bytes) to ${release(mutation)}${replaced(mutation)}`
    case 'docs-uploaded':
      return `uploaded documentation of ${release(mutation)}${replaced(mutation)}`
    case 'toxresult-attached':
      return `attached a test report to ${mutation.file} of ${release(mutation)}`
    case 'release-pushed':
      return `pushed ${release(mutation)} from ${mutation.source}: ${mutation.files.join(', ')}`
    case 'file-removed':
      return `removed ${mutation.file} from ${release(mutation)}${forced(mutation)}`
    case 'version-removed':
      return `removed ${release(mutation)}${forced(mutation)}`
    case 'project-removed':
      return `removed ${mutation.project} from ${mutation.user}/${mutation.index}${forced(mutation)}`
    case 'removal-undone':
      return `undid ${mutation.serial}, the removal of ${removedText(mutation)}`
    case 'file-yanked':
      return `${mutation.reason === undefined ? 'took back the yank of' : 'yanked'} ${mutation.file ?? 'all files'} of ${release(mutation)}`
    case 'mirror-project-changed':
      return `found ${mutation.added.length} new and ${mutation.removed.length} gone files of ${mutation.project} on ${mutation.user}/${mutation.index}${disagreed(mutation)}`
    case 'primary-promoted':
      return `promoted server ${mutation.node} to primary${mutation.former === '' ? '' : `, in place of ${mutation.former}`}`
  }
}

function release(of: { readonly user: string; readonly index: string; readonly project: string; readonly version: string }): string {
  return `${of.project} ${of.version} on ${of.user}/${of.index}`
}

function disagreed({ disagreed: files = [] }: { readonly disagreed?: readonly string[] }): string {
  return files.length === 0 ? '' : `, and an upstream that states another sha256 of ${files.join(', ')}`
}

function until({ expires }: { readonly expires?: number }): string {
  return expires === undefined ? '' : `, until ${new Date(expires).toISOString()}`
}

function userChangeText({ user, fields, revoked = [] }: Mutation & { readonly kind: 'user-modified' }): string {
  const changed = fields.length === 0 && revoked.length > 0 ? [] : [`changed ${fields.join(', ')} of user ${user}`]
  const ended = revoked.length === 0 ? [] : [`revoked API tokens ${revoked.join(', ')} of user ${user}`]
  return [...changed, ...ended].join(' and ')
}

function removedText({ user, index, project, version, file }: Extract<Mutation, { readonly kind: 'removal-undone' }>): string {
  if (index === undefined) return `user ${user}`
  if (project === undefined) return `index ${user}/${index}`
  const release = version === undefined ? project : `${project} ${version}`
  return `${file === undefined ? '' : `${file} of `}${release} on ${user}/${index}`
}

function replaced({ replaced: before }: { readonly replaced?: string }): string {
  return before === undefined ? '' : `, instead of ${before.slice(0, 12)}`
}

function forced({ forced: wasForced }: { readonly forced?: boolean }): string {
  return wasForced === true ? ', by force' : ''
}

function members(before: string, names: readonly string[]): string {
  return names.length === 0 ? '' : before + names.join(', ')
}
