import { flag, listOf, mapOf, object, ref, type Schema, text } from '#server/http/api-description/description.js'

/** One form of what a command prints. */
export interface Printed {
  /** When it does, in a few words; empty where there is no other form. */
  readonly when: string
  readonly schema: Schema
  /** One document on each line, as things happen. */
  readonly isLines?: true
}

const COUNT: Schema = { type: 'integer' }
const NAMES = listOf(text())
const ANY_DOCUMENT: Schema = { type: 'object' }

function orNull(schema: Schema): Schema {
  return { ...schema, type: [schema['type'] ?? 'object', 'null'] }
}

function when(condition: string, schema: Schema): Printed {
  return { when: condition, schema }
}

function always(schema: Schema): readonly Printed[] {
  return [when('', schema)]
}

/** Shapes that several commands share, or that are in others. Those of the server's API are referred to by the same means. */
export const CLI_SHAPES: Readonly<Record<string, Schema>> = {
  ListedFile: object({
    href: text(),
    basename: text(),
    version: text(),
    hash: orNull(text('sha256 in hex, where the server announces it.')),
    origin: { enum: ['own', 'inherited', 'shadowed'], description: 'On this index, on one it inherits from, or behind the same version of a nearer one.' },
    'yanked?': { type: ['boolean', 'string'], description: '`true`, or the reason.' },
    toxresults: { ...listOf(ref('ListedRun')), description: 'The newest of each host, platform and environment.' },
  }),
  ListedRun: object({ host: text(), platform: text(), env: text(), python: orNull(text()), setup: ref('Outcome'), test: ref('Outcome') }),
  Outcome: { enum: ['passed', 'failed', 'absent'], description: '`absent`: nothing was run.' },
  ToxRun: object({
    file: text('Address of the file that was tested.'),
    toxExit: orNull({ ...COUNT, description: 'Exit code of tox; none with `--list`.' }),
    reportPosted: flag(),
    envs: listOf(object({ env: text(), setup: ref('Outcome'), test: ref('Outcome') })),
  }),
  UploadedFile: object({
    file: text('Its path.'),
    action: { enum: ['file_upload', 'doc_upload'] },
    status: orNull({ ...COUNT, description: 'Of the answer; none for what was not sent.' }),
    ok: flag(),
    reason: text('What the server said, or why it was not sent: `exists`, `dry run`, or what is wrong with the file.'),
    sha256: text('In hex; empty for a file that cannot be read.'),
    skipped: flag('Not sent, and no failure.'),
    attestations: { ...COUNT, description: 'How many were sent along.' },
  }),
  WatchEvent: object({ event: { enum: ['uploaded', 'skipped', 'failed'] }, file: text(), sha256: text(), status: orNull(COUNT), 'reason?': text('Of a failure.') }),
  ConfigFile: object({ tool: text(), path: text(), exists: flag(), index: orNull(text('What it names, a password hidden.')) }),
  VerifiedFile: object({
    file: text(),
    sha256: text(),
    verdict: { enum: ['known', 'different', 'absent'] },
    href: orNull(text('Of the same file, else of the one with the same name.')),
    serial: orNull({ ...COUNT, description: 'By which it came, where the server tells.' }),
    actor: orNull(text()),
    time: orNull(text()),
  }),
  Check: object({ id: text(), status: { enum: ['ok', 'warn', 'error'] }, detail: text(), 'fix?': text('What to type or change.') }),
  SelectedIndex: object({
    url: text(),
    changes: { ...NAMES, description: 'Settings that were given, as `KEY=VALUE`.' },
    result: ref('Index'),
  }),
  RunningServer: object({ pid: COUNT, url: text() }),
}

const CHANGED_USER = object({ url: text(), changes: { ...NAMES, description: 'Names of what was changed.' } })
const REMOVED = object({ url: text(), deleted: flag('Not when the answer to the question was no.') })
const CLONED = object({ url: text(), result: ref('Index') })
const YANK = object({ yanked: { type: ['boolean', 'string'], description: '`false` for `unyank`; a text is the reason.' }, files: { ...NAMES, description: 'Addresses.' }, versions: NAMES })

const USE: readonly Printed[] = [
  when('', object({
    root: orNull(text('The server that is selected.')),
    index: orNull(text()),
    user: orNull(text()),
    loggedIn: flag(),
    expiresAt: orNull(text('Moment at which the login ends, if it does and that is known.')),
    endpoints: object({ 'login?': text(), 'pypisubmit?': orNull(text('Where to upload to.')), 'simpleindex?': orNull(text('Where to install from.')) }),
    features: NAMES,
    venv: orNull(text()),
    configs: listOf(ref('ConfigFile')),
    alwaysSetCfg: flag(),
  })),
  when('with `--list`', object({ indexes: listOf(object({ name: text('`user/index`.'), type: text(), bases: NAMES, volatile: flag() })) })),
  when('with `--delete`', object({ removed: text('The file that held the selection.') })),
]

/** What every command prints with `--json` when it succeeds, by its id; and beside an `error` when it did a part. */
export const COMMANDS: Readonly<Record<string, readonly Printed[]>> = {
  use: USE,
  getjson: always({ ...ANY_DOCUMENT, description: 'The document as the server sent it.' }),
  patchjson: always({ ...ANY_DOCUMENT, description: 'The answer as the server sent it.' }),
  list: [
    when('without SPEC', object({ index: text(), projects: listOf(object({ name: text(), 'version?': text('With `--verbose`.') })) })),
    when('with SPEC', object({ project: text(), files: listOf(ref('ListedFile')), hidden: { ...COUNT, description: 'Versions that are not shown.' } })),
  ],
  remove: always(object({
    removed: listOf(object({ 'version?': text('Unless an address was given.'), files: { ...NAMES, description: 'Addresses.' } })),
    'serial?': orNull({ ...COUNT, description: 'What `devpi undo` takes; left out when the answer to the question was no.' }),
  })),
  user: [
    when('shown or created', object({ url: text(), changes: NAMES, result: ref('User') })),
    when('modified', CHANGED_USER),
    when('with `--list`', object({ users: NAMES })),
    when('with `--delete`', REMOVED),
  ],
  passwd: always(CHANGED_USER),
  login: always(object({ user: text(), root: text(), expiresAt: orNull(text()) })),
  logoff: always(object({ user: orNull(text('None when nobody was logged in.')), root: text() })),
  index: [when('shown, created or modified', ref('SelectedIndex')), when('with `--list`', object({ indexes: { ...NAMES, description: 'As `user/index`.' } })), when('with `--delete`', REMOVED)],
  upload: [
    when('', object({ index: text(), built: { ...NAMES, description: 'Paths.' }, uploads: listOf(ref('UploadedFile')), ok: flag() })),
    { when: 'with `--watch`', schema: ref('WatchEvent'), isLines: true },
    when('with `--watch --once`', object({ uploaded: COUNT, failed: COUNT, events: listOf(ref('WatchEvent')) })),
  ],
  test: always(object({
    runs: listOf(ref('ToxRun')),
    'failed?': listOf(object({ spec: text(), code: text('As of an error.'), message: text() })),
    ok: flag(),
  })),
  push: always(object({ actions: listOf(object({ status: orNull(COUNT), action: text(), args: listOf({}) })), ok: flag() })),
  install: always(object({ pip: text('The installer that was run.'), args: NAMES, exitCode: COUNT })),
  refresh: always(object({ projects: listOf(object({ name: text(), status: COUNT, ok: flag() })) })),
  changes: [
    when('', object({ changes: { ...listOf(ref('Change')), description: 'The oldest first.' }, next: { ...COUNT, description: 'What `--since` goes on from.' } })),
    { when: 'with `--follow`', schema: ref('Change'), isLines: true },
  ],
  clone: always(CLONED),
  completion: [when('of a shell', object({ shell: text(), script: text() })), when('names', object({ names: NAMES }))],
  doctor: always(object({ checks: listOf(ref('Check')) })),
  'policy:simulate': always(object({ projects: listOf(ref('SimulatedProject')), looked: object({ projects: COUNT, files: COUNT, hides: COUNT }) })),
  quickstart: always(object({ url: text(), user: text(), index: text(), dryRun: flag() })),
  rename: always(CLONED),
  'server:log': always(object({ path: text(), lines: NAMES })),
  'server:start': always(ref('RunningServer')),
  'server:status': always(ref('RunningServer')),
  'server:stop': always(object({ pid: orNull({ ...COUNT, description: 'None when no server ran.' }) })),
  'token:create': always(ref('NewToken')),
  'token:list': always(object({ tokens: listOf(ref('Token')) })),
  'token:revoke': always(object({ revoked: text('Its id.'), user: text() })),
  undo: always(object({ undone: { ...COUNT, description: 'The serial.' }, message: text() })),
  unyank: always(YANK),
  verify: always(object({ index: text(), files: listOf(ref('VerifiedFile')), ok: flag() })),
  version: always(object({ client: text(), node: text(), plugins: { ...NAMES, description: 'Always empty.' }, 'server?': object({ url: text(), versions: mapOf(text()) }) })),
  why: always(ref('Why')),
  yank: always(YANK),
}
