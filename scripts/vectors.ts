import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digestHex, EMPTY_CHAIN, extendChain } from '#log-format/chain.js'
import { encodeEntry } from '#log-format/codec.js'
import type { Change } from '#log-format/change.js'
import type { Entry } from '#log-format/entry.js'
import type { ForeignMutation, Mutation } from '#log-format/mutation.js'
import { nextSerial } from '#log-format/serial.js'

/** A golden entry: what it says, its bytes, and the digest of the log up to it. The vectors of a file are one log. */
export interface Vector {
  readonly name: string
  /** With `parent` in hex, and a change without `value` for a deletion. */
  readonly entry: object
  readonly hex: string
  readonly digest: string
}

const FILE = join(import.meta.dirname, '../../log-format/vectors/version-1.json')

/** Adds vectors for entries that have none yet; those that are there never change. */
export function main(): Promise<number> {
  const known = readVectors()
  const made = makeVectors()
  const changed = known.filter(({ hex }, at) => made[at]?.hex !== hex)
  if (changed.length > 0) {
    process.stderr.write(`these vectors would change, which is a new version of the format: ${changed.map(({ name }) => name).join(', ')}\n`)
    return Promise.resolve(1)
  }
  writeFileSync(FILE, `${JSON.stringify(made, undefined, 1)}\n`)
  return Promise.resolve(0)
}

export function readVectors(): Vector[] {
  return existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Vector[]) : []
}

function makeVectors(): Vector[] {
  let head = EMPTY_CHAIN
  return CASES.map(({ name, mutation, changes, ...origin }, at) => {
    const entry: Entry = {
      serial: nextSerial(head.serial),
      time: 1_700_000_000_000 + at * 1000,
      parent: head.digest,
      epoch: at < 20 ? 0 : 1,
      actor: 'alice',
      via: 'token',
      request: `0123456789abc${at.toString(16).padStart(3, '0')}`,
      ...origin,
      mutation,
      changes,
    }
    const bytes = encodeEntry(entry)
    head = extendChain(head, entry, bytes)
    return {
      name,
      entry: { ...entry, parent: digestHex(entry.parent) },
      hex: Buffer.from(bytes).toString('hex'),
      digest: digestHex(head.digest),
    }
  })
}

interface Case extends Partial<Pick<Entry, 'actor' | 'via' | 'request' | 'epoch'>> {
  readonly name: string
  readonly mutation: Mutation | ForeignMutation
  readonly changes: readonly Change[]
}

const SHA = 'dd609a8f933b97da767bb41d1e6530b9d0f658b30eb90cd2e6ca4178dc255d44'
const OTHER_SHA = 'ec27c55e898b1d66000000000000000000000000000000000000000000000001'
const RELEASE = { user: 'alice', index: 'dev', project: 'demo', version: '1.0' }
const FILE_OF_RELEASE = { ...RELEASE, file: 'demo-1.0.tar.gz' }
const LINK_PATH = 'alice/dev/demo/1.0/+link/demo-1.0.tar.gz'
const FILE_PATH = 'alice/dev/+f/dd6/09a8f933b97da/demo-1.0.tar.gz'
const LINK = {
  rel: 'releasefile',
  sha256: SHA,
  size: 5120,
  dir: 'dd6/09a8f933b97da',
  time: 1_700_000_005_000,
  order: 600_000,
  log: [{ what: 'upload', who: 'alice', when: 1_700_000_005_000, dst: 'alice/dev' }],
}

const CASES: readonly Case[] = [
  {
    name: 'server initialised',
    actor: '+system',
    via: 'system',
    request: 'initialise',
    mutation: { kind: 'server-initialised' },
    changes: [
      { path: 'root/.config', value: { created: 1_700_000_000_000 } },
      { path: 'root/pypi/.config', value: { type: 'mirror', created: 1_700_000_000_000, volatile: false, title: 'PyPI', mirror_url: 'https://example.com/simple/' } },
    ],
  },
  { name: 'user created by nobody', actor: '+anonymous', via: 'session', mutation: { kind: 'user-created', user: 'alice' }, changes: [{ path: 'alice/.config', value: { created: 1_700_000_001_000 } }] },
  { name: 'user modified', via: 'basic', mutation: { kind: 'user-modified', user: 'alice', fields: ['email', 'password'] }, changes: [{ path: 'alice/.config', value: { created: 1_700_000_001_000, modified: 1_700_000_002_000, email: 'alice@example.com' } }] },
  {
    name: 'index created',
    mutation: { kind: 'index-created', user: 'alice', index: 'dev', settings: { type: 'stage', volatile: true, acl_upload: ['alice'], bases: [] } },
    changes: [{ path: 'alice/dev/.config', value: { type: 'stage', created: 1_700_000_003_000, volatile: true, acl_upload: ['alice'], acl_toxresult_upload: [':ANONYMOUS:'], bases: [], mirror_whitelist: [], mirror_whitelist_inheritance: 'intersection' } }],
  },
  {
    name: 'index modified: bases',
    mutation: { kind: 'index-modified', user: 'alice', index: 'dev', before: { bases: [] }, after: { bases: ['root/pypi'] } },
    changes: [{ path: 'alice/dev/.config', value: { type: 'stage', created: 1_700_000_003_000, volatile: true, acl_upload: ['alice'], acl_read: [':AUTHENTICATED:'], bases: ['root/pypi'], mirror_whitelist: ['*'], mirror_whitelist_inheritance: 'union' } }],
  },
  {
    name: 'version registered',
    mutation: { kind: 'version-registered', ...RELEASE },
    changes: [
      { path: 'alice/dev/demo/.config', value: { name: 'Demo', created: 1_700_000_005_000 } },
      { path: 'alice/dev/demo/1.0/.config', value: { created: 1_700_000_005_000 } },
      { path: 'alice/dev/demo/+spelling/1', value: { version: '1.0' } },
      { path: 'alice/dev/demo/1.0/.metadata', value: { name: 'Demo', version: '1.0', summary: 'größer ≥ \u{1f40d}', classifiers: ['A :: B'], description: 'x'.repeat(300) } },
    ],
  },
  { name: 'file uploaded', mutation: { kind: 'file-uploaded', ...FILE_OF_RELEASE, sha256: SHA, size: 5120 }, changes: [{ path: LINK_PATH, value: LINK }, { path: FILE_PATH, value: { sha256: SHA, size: 5120, lastModified: 1_700_000_005_000, project: 'demo', versions: ['1.0'] } }] },
  { name: 'file replaced, larger than 4 GiB', mutation: { kind: 'file-uploaded', ...FILE_OF_RELEASE, sha256: OTHER_SHA, size: 5_000_000_000, replaced: SHA }, changes: [{ path: FILE_PATH, value: undefined }, { path: LINK_PATH, value: { ...LINK, sha256: OTHER_SHA, size: 5_000_000_000 } }] },
  { name: 'documentation uploaded', mutation: { kind: 'docs-uploaded', ...RELEASE, file: 'demo-1.0.doc.zip', sha256: OTHER_SHA, size: 70_000 }, changes: [{ path: 'alice/dev/demo/1.0/+link/demo-1.0.doc.zip', value: { ...LINK, rel: 'doczip', size: 70_000 } }] },
  { name: 'test report attached', actor: '+anonymous', via: 'session', mutation: { kind: 'toxresult-attached', ...FILE_OF_RELEASE, toxresult: 'demo-1.0.tar.gz.toxresult-20231114221328-0', sha256: OTHER_SHA, size: 200 }, changes: [{ path: `${LINK_PATH}.toxresult-20231114221328-0`, value: { ...LINK, rel: 'toxresult', forFile: 'demo-1.0.tar.gz', log: [{ what: 'upload', who: null, when: 1_700_000_008_000 }] } }] },
  { name: 'release pushed', mutation: { kind: 'release-pushed', ...RELEASE, index: 'prod', source: 'alice/dev', files: ['demo-1.0.tar.gz'] }, changes: [{ path: 'alice/prod/demo/1.0/+link/demo-1.0.tar.gz', value: LINK }] },
  { name: 'file yanked', mutation: { kind: 'file-yanked', ...FILE_OF_RELEASE, reason: '' }, changes: [{ path: LINK_PATH, value: { ...LINK, yanked: '' } }] },
  { name: 'version yanked', mutation: { kind: 'file-yanked', ...RELEASE, reason: 'broken' }, changes: [{ path: 'alice/dev/demo/1.0/.config', value: { created: 1_700_000_005_000, yanked: 'broken' } }] },
  { name: 'yank taken back', mutation: { kind: 'file-yanked', ...RELEASE }, changes: [{ path: 'alice/dev/demo/1.0/.config', value: { created: 1_700_000_005_000 } }] },
  { name: 'file removed by force', mutation: { kind: 'file-removed', ...FILE_OF_RELEASE, forced: true }, changes: [{ path: LINK_PATH, value: undefined }, { path: FILE_PATH, value: undefined }] },
  { name: 'version removed', mutation: { kind: 'version-removed', ...RELEASE }, changes: [{ path: 'alice/dev/demo/1.0/.config', value: undefined }] },
  { name: 'project removed', mutation: { kind: 'project-removed', user: 'alice', index: 'dev', project: 'demo' }, changes: [{ path: 'alice/dev/demo/.config', value: undefined }] },
  { name: 'mirror changed', actor: '+upstream', via: 'system', mutation: { kind: 'mirror-project-changed', user: 'root', index: 'pypi', project: 'demo', added: ['demo-2.0.tar.gz'], removed: [] }, changes: [] },
  { name: 'index deleted', mutation: { kind: 'index-deleted', user: 'alice', index: 'dev' }, changes: [{ path: 'alice/dev/.config', value: undefined }] },
  { name: 'user deleted', actor: 'root', mutation: { kind: 'user-deleted', user: 'alice' }, changes: [{ path: 'alice/.config', value: undefined }] },
  { name: 'of a newer release', mutation: { kind: 'something-newer', with: [1, -1, 1.5, true, null, { deep: ['er'] }] }, changes: [{ path: 'a/key/nobody/knows/+here', value: [-2147483648, 4294967295, 4294967296, 0.1] }] },
  {
    name: 'API token created',
    mutation: { kind: 'token-created', user: 'alice', id: '0123456789abcdef', name: 'ci of demo', actions: ['read', 'upload'], indexes: ['alice/dev'], expires: 1_800_000_000_000 },
    changes: [{ path: 'alice/+token/0123456789abcdef', value: { name: 'ci of demo', actions: ['read', 'upload'], indexes: ['alice/dev'], created: 1_700_000_021_000, expires: 1_800_000_000_000 } }],
  },
  { name: 'API token without end', mutation: { kind: 'token-created', user: 'alice', id: 'fedcba9876543210', name: 'all', actions: ['admin'], indexes: ['*'] }, changes: [{ path: 'alice/+token/fedcba9876543210', value: { name: 'all', actions: ['admin'], indexes: ['*'], created: 1_700_000_022_000 } }] },
  { name: 'API token revoked', mutation: { kind: 'token-revoked', user: 'alice', id: '0123456789abcdef', name: 'ci of demo' }, changes: [{ path: 'alice/+token/0123456789abcdef', value: undefined }] },
  {
    name: 'password changed and API tokens revoked',
    via: 'basic',
    mutation: { kind: 'user-modified', user: 'alice', fields: ['password'], revoked: ['fedcba9876543210'] },
    changes: [{ path: 'alice/+token/fedcba9876543210', value: undefined }, { path: 'alice/.config', value: { created: 1_700_000_001_000, modified: 1_700_000_024_000 } }],
  },
  { name: 'removal undone', mutation: { kind: 'removal-undone', serial: 14, ...FILE_OF_RELEASE }, changes: [{ path: LINK_PATH, value: LINK }, { path: FILE_PATH, value: { sha256: SHA, size: 5120, lastModified: 1_700_000_005_000, project: 'demo', versions: ['1.0'] } }] },
  { name: 'index cloned', mutation: { kind: 'index-cloned', user: 'alice', index: 'copy', source: 'alice/dev', serial: 12 }, changes: [{ path: 'alice/copy/.config', value: { type: 'stage', created: 1_700_000_022_000, volatile: true, acl_upload: ['alice'], bases: [], mirror_whitelist: [], mirror_whitelist_inheritance: 'intersection' } }, { path: 'alice/copy/demo/1.0/+link/demo-1.0.tar.gz', value: { ...LINK, time: 1_700_000_022_000 } }] },
  { name: 'index renamed', mutation: { kind: 'index-renamed', user: 'alice', index: 'copy', to: 'kept', followed: ['bob/dev'] }, changes: [{ path: 'alice/copy/.config', value: undefined }, { path: 'alice/copy/+renamed', value: { to: 'kept' } }] },
  { name: 'group created', actor: 'root', mutation: { kind: 'group-created', group: 'devs', members: ['alice', 'bob'] }, changes: [{ path: '+groups/devs/+group', value: { created: 1_700_000_028_000 } }, { path: '+groups/devs/alice/+member', value: { since: 1_700_000_028_000 } }, { path: '+groups/devs/bob/+member', value: { since: 1_700_000_028_000 } }] },
  { name: 'group modified', actor: 'root', mutation: { kind: 'group-modified', group: 'devs', added: ['carol'], removed: ['bob'] }, changes: [{ path: '+groups/devs/carol/+member', value: { since: 1_700_000_029_000 } }, { path: '+groups/devs/bob/+member', value: undefined }] },
  { name: 'user deleted who was in a group', actor: 'root', mutation: { kind: 'user-deleted', user: 'carol' }, changes: [{ path: '+groups/devs/carol/+member', value: undefined }, { path: 'carol/.config', value: undefined }] },
  { name: 'group deleted', actor: 'root', mutation: { kind: 'group-deleted', group: 'devs', members: ['alice'] }, changes: [{ path: '+groups/devs/alice/+member', value: undefined }, { path: '+groups/devs/+group', value: undefined }] },
  {
    name: 'test report attached, and what it says',
    mutation: { kind: 'toxresult-attached', ...FILE_OF_RELEASE, toxresult: 'demo-1.0.tar.gz.toxresult-20231114221348-1', sha256: OTHER_SHA, size: 2000 },
    changes: [
      {
        path: `${LINK_PATH}.toxresult-20231114221348-1`,
        value: {
          ...LINK,
          rel: 'toxresult',
          forFile: 'demo-1.0.tar.gz',
          report: {
            host: 'box',
            platform: 'linux',
            environments: [
              { name: 'py311', state: 'failed', commands: 4, failed: 1, python: '3.11.7' },
              { name: 'docs', state: 'unknown', commands: 0, failed: 0 },
            ],
          },
        },
      },
    ],
  },
  {
    name: 'mirror changed, and what it says of its files',
    actor: '+upstream',
    via: 'system',
    mutation: { kind: 'mirror-project-changed', user: 'root', index: 'pypi', project: 'demo', added: ['demo-2.0.tar.gz'], removed: ['demo-1.0.tar.gz'], changed: ['demo-1.1.tar.gz'] },
    changes: [
      { path: 'root/pypi/demo/.config', value: { name: 'demo', created: 1_700_000_034_000 } },
      {
        path: 'root/pypi/demo/+mirror/demo-2.0.tar.gz',
        value: { url: 'https://files.example.com/demo-2.0.tar.gz', version: '2.0', dir: 'dd6/09a8f933b97da', seen: 1_700_000_034_000, sha256: SHA, size: 5120, time: 1_700_000_000_123, requiresPython: '>=3.9', coreMetadata: OTHER_SHA, provenance: 'https://example.com/p' },
      },
      { path: 'root/pypi/+m/dd6/09a8f933b97da/demo-2.0.tar.gz', value: { project: 'demo' } },
      { path: 'root/pypi/demo/+mirror/demo-1.0.tar.gz', value: { url: 'http://files.example.com/demo-1.0.tar.gz', version: '1.0', dir: 'ec2/7c55e898b1d66', seen: 1_700_000_033_000, md5: '0123456789abcdef0123456789abcdef', gone: 1_700_000_034_000 } },
      { path: 'root/pypi/demo/+mirror/demo-1.1.tar.gz', value: { url: 'http://files.example.com/demo-1.1.tar.gz', version: '1.1', dir: '000/0000000000000', seen: 1_700_000_033_000, yanked: '' } },
    ],
  },
  { name: 'primary promoted', actor: '+system', via: 'system', request: 'promote', epoch: 2, mutation: { kind: 'primary-promoted', node: 'ab'.repeat(16), former: 'cd'.repeat(16) }, changes: [] },
  {
    name: 'mirror changed by one of several upstreams',
    actor: '+upstream',
    via: 'system',
    epoch: 2,
    mutation: { kind: 'mirror-project-changed', user: 'root', index: 'pypi', project: 'demo', added: ['demo-3.0-py3-none-any.whl'], removed: [], changed: ['demo-2.0.tar.gz'], disagreed: ['demo-2.0.tar.gz'] },
    changes: [
      { path: 'root/pypi/.config', value: { type: 'mirror', created: 1_700_000_000_000, volatile: false, mirror_url: 'https://pypi.example.com/simple/', mirror_fallback_urls: ['https://next.example.com/simple/'] } },
      { path: 'root/pypi/demo/.config', value: { name: 'demo', created: 1_700_000_034_000, upstream: 'https://pypi.example.com/simple/' } },
      {
        path: 'root/pypi/demo/+mirror/demo-3.0-py3-none-any.whl',
        value: { url: 'https://next.example.com/demo-3.0-py3-none-any.whl', version: '3.0', dir: 'dd6/09a8f933b97da', seen: 1_700_000_034_000, sha256: SHA, noMetadata: true, upstream: 'https://next.example.com/simple/' },
      },
      {
        path: 'root/pypi/demo/+mirror/demo-2.0.tar.gz',
        value: { url: 'https://files.example.com/demo-2.0.tar.gz', version: '2.0', dir: 'dd6/09a8f933b97da', seen: 1_700_000_034_000, sha256: SHA, otherDigests: { 'https://next.example.com/simple/': OTHER_SHA } },
      },
    ],
  },
]
