import fc from 'fast-check'
import { FOREIGN_FAMILY, keys, locatePath } from '#log-format/keys.js'
import { checkMutation } from '#log-format/mutation.js'
import { checkFileBasename, checkGroupName, checkIndexName, checkUserName, checkVersionText, isKeySegment } from '#log-format/names.js'
import { isPep440, versionIdentity } from '#log-format/version.js'

test.each([
  ['alice/.config', 'user', ['alice']],
  ['+groups/devs/+group', 'group', ['devs']],
  ['+groups/devs/alice/+member', 'member', ['devs', 'alice']],
  ['+groups/.config/.config/+member', 'member', ['.config', '.config']],
  ['alice/+token/0123456789abcdef', 'token', ['alice', '0123456789abcdef']],
  ['alice/dev/.config', 'index', ['alice', 'dev']],
  ['alice/dev/+renamed', 'renamed', ['alice', 'dev']],
  ['alice/dev/demo/.config', 'project', ['alice', 'dev', 'demo']],
  ['alice/dev/demo/1.0/.config', 'version', ['alice', 'dev', 'demo', '1.0']],
  ['alice/dev/demo/1.0/.metadata', 'metadata', ['alice', 'dev', 'demo', '1.0']],
  ['alice/dev/demo/+spelling/1', 'spelling', ['alice', 'dev', 'demo', '1']],
  ['alice/dev/demo/1.0/+link/demo-1.0.zip', 'link', ['alice', 'dev', 'demo', '1.0', 'demo-1.0.zip']],
  ['alice/dev/+f/abc/0123456789abc/demo-1.0.zip', 'file', ['alice', 'dev', 'abc', '0123456789abc', 'demo-1.0.zip']],
  ['alice/dev/something/newer/than/this', FOREIGN_FAMILY, ['alice/dev/something/newer/than/this']],
  ['alice//.config', FOREIGN_FAMILY, ['alice//.config']],
])('%s is a key of family %s', (path, family, segments) => {
  expect(locatePath(path)).toEqual({ family, segments })
})

const segment = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[/\0]/.test(text) && !text.startsWith('+') && !text.startsWith('.'))

test('a path that was built is found again', () => {
  fc.assert(
    fc.property(segment, segment, segment, segment, segment, (user, index, project, version, basename) => {
      for (const key of [keys.group({ group: user }), keys.member({ group: index, user }), keys.token({ user, id: index }), keys.index({ user, index }), keys.link({ user, index, project, version, basename }), keys.metadata({ user, index, project, version })]) {
        expect(locatePath(key.path)).toEqual({ family: key.family, segments: key.segments })
      }
    }),
  )
})

const accepted = (check: (name: string) => void) => (name: string): boolean => {
  try {
    check(name)
    return true
  } catch {
    return false
  }
}
/** Names like the fixed parts of paths. */
const odd = fc.constantFrom(...Object.values(keys).flatMap(({ pattern }) => pattern.split('/')), '.config', '.metadata', '+link', '+mirror', '+spelling', '+f', '+m', '+token')
const namedBy = (check: (name: string) => void): fc.Arbitrary<string> => fc.oneof(odd, fc.string({ unit: 'grapheme', minLength: 1 }).filter(isKeySegment)).filter(accepted(check))

/** The writer takes the family of a key as it is given, and a replica finds it by the path. */
test('whatever names may be given to users, indexes, groups, versions and files, a path is found again', () => {
  const project = fc.constantFrom('demo', 'config', 'link', 'f')
  const version = fc.oneof(namedBy(checkVersionText), fc.constant('1.0'))
  fc.assert(
    fc.property(namedBy(checkUserName), namedBy(checkIndexName), namedBy(checkGroupName), project, version, namedBy(checkFileBasename), (user, index, group, project, version, basename) => {
      const release = { user, index, project, version }
      const dirs = { dirA: 'abc', dirB: '0123456789abc' }
      const wheel = `${project}-1.0-${basename}.whl` // what is mirrored has the name of an archive
      const found = [
        keys.user(release), keys.group({ group }), keys.member({ group, user }), keys.index(release), keys.renamed(release), keys.project(release), keys.version(release), keys.metadata(release), keys.link({ ...release, basename }),
        keys.file({ ...release, ...dirs, basename }), keys.mirrorFile({ ...release, basename: wheel }), keys.mirrorPath({ ...release, ...dirs, basename: wheel }),
        ...(isPep440(version) ? [keys.spelling({ ...release, identity: versionIdentity(version) })] : []),
      ]
      for (const key of found) expect(locatePath(key.path)).toEqual({ family: key.family, segments: key.segments })
    }),
  )
})

test.each(['', 'a/b', 'a\0b', '\ud800'])('%j cannot stand in a key', (user) => {
  expect(() => keys.user({ user })).toThrow('cannot be the user of a user key')
})

test.each([
  ['no map', 1, 'a mutation is not a map at mutation'],
  ['no kind', { user: 'x' }, 'a mutation has no kind at mutation.kind'],
  ['a field missing', { kind: 'user-created' }, 'user-created wants user to be string at mutation.user'],
  ['a field of another type', { kind: 'user-modified', user: 'x', fields: [1] }, 'user-modified wants fields to be strings at mutation.fields'],
])('a mutation with %s is refused', (_, value, message) => {
  expect(() => checkMutation(value)).toThrow(message)
})

test('a mutation of a newer release is carried as it is', () => {
  const newer = { kind: 'moon-landed', crater: 3 }
  expect(checkMutation(newer)).toEqual(newer)
})
