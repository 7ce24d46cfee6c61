import { SIMPLE_JSON_TYPE } from '../negotiate.js'
import { flag, json, listOf, message, type Noun, object, ref, result, type Schema, switchParameter, text } from './description.js'

function acl(description: string): Schema {
  return { ...listOf(text()), description: `${description} Names of users, groups as \`:name\`, \`:AUTHENTICATED:\` or \`:ANONYMOUS:\`.` }
}

const COMMON = {
  volatile: flag('Whether files can be replaced and removed.'),
  'acl_read?': acl('Who may see it at all; everyone, if absent.'),
  'title?': { description: 'Any value, a text as a rule.' },
  'description?': { description: 'Any value, a text as a rule.' },
  'custom_data?': { description: 'Any value.' },
} as const

const POLICY = {
  'min_release_age?': text('A duration such as `7d`: files younger than that are hidden.'),
  'freeze_at?': text('A time: files that entered after it are hidden.'),
  'constraints?': { ...listOf(text()), description: 'Which versions of which projects are shown, `requests>=2.31`, or hidden, `!leftpad`, a line each.' },
  'policy_exemptions?': { ...listOf(text()), description: 'What is shown all the same, `PROJECT==1.0 until TIME because REASON`, a line each.' },
} as const

/** What a request may hold is wider: lists as texts with commas, truth as `yes`, and what clients send along. */
const SETTINGS: Schema = {
  type: 'object',
  description: 'Settings as in the reply, all of them optional. Lists may be texts with commas.',
}

export const indexes: Noun = {
  title: 'Indexes',
  text: 'A named collection of packages, `user/index`. Stages take uploads and inherit from their `bases`; mirrors stand for an upstream.',
  operations: [
    {
      id: 'showIndex',
      method: 'GET',
      path: '/{user}/{index}',
      title: 'The settings of an index',
      text: 'To installers such as pip and uv this address is the simple list of the index.',
      asks: ['read'],
      changes: false,
      query: [switchParameter('no_projects', 'Leaves out the names of the projects.')],
      replies: [
        result('indexconfig', ref('Index'), 'Settings, and the names of the projects of this index alone.'),
        { status: 200, text: 'The simple list, to who prefers it.', types: [SIMPLE_JSON_TYPE], schema: ref('SimpleList') },
      ],
    },
    {
      id: 'createIndex',
      method: 'PUT',
      path: '/{user}/{index}',
      title: 'Create an index',
      asks: ['index-create'],
      changes: true,
      body: json(SETTINGS, { bases: ['root/pypi'], title: 'Development' }),
      replies: [result('indexconfig', ref('Index'), 'Created.')],
      refuses: { conflict: 'There is an index of that name.' },
    },
    {
      id: 'cloneIndex',
      method: 'PUT',
      path: '/{user}/{index}',
      title: 'Clone an index',
      text: 'With `clone` in the body, the new index has the settings and contents of another, as it is or as it was at a serial; settings sent along win.',
      asks: ['index-create', 'read'],
      changes: true,
      body: json(
        { type: 'object', required: ['clone'], properties: { clone: text('`user/index` or `user/index@serial`.') } },
        { clone: 'alice/dev@7', volatile: false },
      ),
      replies: [result('indexconfig', ref('Index'), 'Cloned, in one entry of the log.')],
      refuses: { gone: 'The source had files at that serial which are no longer kept.', conflict: 'There is an index of that name.' },
    },
    {
      id: 'modifyIndex',
      method: 'PATCH',
      path: '/{user}/{index}',
      title: 'Change settings',
      text: 'An object of settings, or a list of operations: `key=value`, `key+=item`, `key-=item`, `key-=`.',
      asks: ['index-modify'],
      changes: true,
      query: [switchParameter('error_on_noop', 'Refuses what would change nothing.')],
      body: json({ anyOf: [SETTINGS, listOf(text())] }, ['bases+=root/pypi', 'title=Development']),
      replies: [result('indexconfig', ref('Index'), 'The settings as they are now.')],
    },
    {
      id: 'renameIndex',
      method: 'PATCH',
      path: '/{user}/{index}',
      title: 'Rename an index',
      text: 'A request of its own. The old addresses redirect until another index gets the name; indexes that inherit follow.',
      asks: ['index-rename', 'index-create'],
      changes: true,
      body: json(object({ rename: text('The new name, without the user.') }), { rename: 'stable' }),
      replies: [result('indexconfig', ref('Index'), 'Renamed.')],
      refuses: { conflict: 'The name is taken.' },
    },
    {
      id: 'deleteIndex',
      method: 'DELETE',
      path: '/{user}/{index}',
      title: 'Delete an index with all it has',
      text: 'An index that is not volatile is kept: make it volatile first.',
      asks: ['index-delete'],
      changes: true,
      replies: [message('Deleted; the status is one that clients of the reference server expect.', 201)],
    },
  ],
  shapes: {
    Index: { anyOf: [ref('StageIndex'), ref('MirrorIndex')] },
    StageIndex: object({
      type: { const: 'stage' },
      ...COMMON,
      acl_upload: acl('Who may upload, remove and yank; the owner, unless said.'),
      'acl_toxresult_upload?': acl('Who may attach test reports.'),
      bases: { ...listOf(text()), description: 'What it inherits from, `user/index` each.' },
      mirror_whitelist: { ...listOf(text()), description: 'Projects that may come from a mirror although a private index has them; `*` for all.' },
      mirror_whitelist_inheritance: { enum: ['intersection', 'union'], description: 'How the whitelists of bases count.' },
      ...POLICY,
      'projects?': { ...listOf(text()), description: 'Of this index alone.' },
    }),
    MirrorIndex: object({
      type: { const: 'mirror' },
      ...COMMON,
      'mirror_url?': text('Without user and password.'),
      'mirror_fallback_urls?': { ...listOf(text()), description: 'Asked in this order while those before fail; without users and passwords.' },
      'mirror_web_url_fmt?': text(),
      'mirror_cache_expiry?': { type: 'integer' },
      'mirror_no_project_list?': flag(),
      'mirror_use_external_urls?': flag(),
      'mirror_ignore_serial_header?': flag(),
      ...POLICY,
      'projects?': listOf(text()),
    }),
  },
}
