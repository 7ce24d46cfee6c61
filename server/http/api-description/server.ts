import { CHANGELOG_TYPE } from '#log-format/framing.js'
import { JSON_TYPE } from '../negotiate.js'
import { flag, listOf, mapOf, type Noun, object, ONLY_JSON, type Operation, ref, result, type Schema, text } from './description.js'

/** Where clients find everything else. They may ask with `POST`, too. */
function api(id: string, path: string, title: string): Operation[] {
  const shared = { path, title, changes: false, replies: [result('apiconfig', ref('ApiConfig'), 'Addresses, and who the server takes the caller for.')] }
  const isOfIndex = path.includes('{index}')
  const asks: Operation['asks'] = isOfIndex ? ['read'] : { noRight: 'clients learn from it where to log in' }
  const refuses = isOfIndex ? {} : ONLY_JSON
  return [
    { id, method: 'GET', ...shared, asks, refuses },
    { id: `${id}ByPost`, method: 'POST', ...shared, title: `${title}, by POST`, asks, refuses, text: 'The same, for clients that post. A body is not looked at, and nothing changes.' },
  ]
}

const SECONDS: Schema = { type: ['number', 'null'] }
const SERIAL: Schema = { type: ['integer', 'null'], description: 'The newest that the primary told of.' }

/** What a replica adds. */
const REPLICA_STATUS: Readonly<Record<string, Schema>> = {
  'primary-uuid?': text('Of a replica, as all that follows; empty before the first contact.'),
  'master-uuid?': text(),
  'primary-serial?': SERIAL,
  'master-serial?': SERIAL,
  'primary-serial-timestamp?': SECONDS,
  'master-serial-timestamp?': SECONDS,
  'primary-contacted-at?': SECONDS,
  'master-contacted-at?': SECONDS,
  'update-from-primary-at?': SECONDS,
  'update-from-master-at?': SECONDS,
  'replica-started-at?': { type: 'number' },
  'replica-metadata-in-sync-at?': { type: ['number', 'null'], description: 'When it last had every entry of the primary.' },
  'replica-state?': { enum: ['connecting', 'following', 'stopped'] },
  'replica-lag-serials?': { type: 'integer' },
  'replica-lag-seconds?': { type: 'number' },
  'primary-url?': text('For root.'),
  'master-url?': text(),
  'replica-problem?': { type: ['string', 'null'], description: 'For root: why it does not follow.' },
}

export const server: Noun = {
  title: 'The server',
  text: 'Where things are, how the server does, and what it can do.',
  operations: [
    ...api('showApi', '/+api', 'Addresses of the server'),
    ...api('showUserApi', '/{user}/+api', 'Addresses of the server, below a user'),
    ...api('showIndexApi', '/{user}/{index}/+api', 'Addresses of an index'),
    {
      id: 'showOpenApi',
      method: 'GET',
      path: '/+openapi.json',
      title: 'This description, for programs',
      text: 'An OpenAPI 3.1 document.',
      asks: { noRight: 'it says nothing about what is stored' },
      changes: false,
      replies: [
        { status: 200, text: 'The document.', types: [JSON_TYPE], schema: { type: 'object', required: ['openapi'], properties: { openapi: { const: '3.1.0' } } } },
        { status: 304, text: 'It is the one that `If-None-Match` names.' },
      ],
    },
    {
      id: 'showStatus',
      method: 'GET',
      path: '/+status',
      title: 'Versions, serial and figures',
      text: 'Folders and addresses of the machine are for root.',
      asks: { noRight: 'everybody may know how the server does; `inspect` decides about the machine' },
      changes: false,
      replies: [result('status', ref('Status'), 'The state of the server.')],
      refuses: ONLY_JSON,
    },
    {
      id: 'showHealth',
      method: 'GET',
      path: '/+health',
      title: 'Whether the process answers',
      text: '`?ready` asks as `/+health/ready` does.',
      asks: { noRight: 'monitoring has no account' },
      changes: false,
      replies: [{ status: 200, text: 'It does.', types: [JSON_TYPE], schema: object({ status: { const: 'ok' } }) }],
    },
    {
      id: 'showReadiness',
      method: 'GET',
      path: '/+health/ready',
      title: 'Whether the server can do all its work',
      asks: { noRight: 'monitoring has no account' },
      changes: false,
      replies: [
        { status: 200, text: 'It can.', types: [JSON_TYPE], schema: ref('Readiness') },
        { status: 503, text: 'It cannot; `reasons` says why.', types: [JSON_TYPE], schema: ref('Readiness') },
      ],
    },
    {
      id: 'showMetrics',
      method: 'GET',
      path: '/+metrics',
      title: 'Figures for Prometheus',
      text: 'Without login for this machine and the networks of `--metrics-from`.',
      asks: ['inspect'],
      changes: false,
      replies: [{ status: 200, text: 'Figures.', types: ['text/plain'] }],
    },
    {
      id: 'checkAccess',
      method: 'GET',
      path: '/+authcheck',
      title: 'Whether a proxy may serve an address itself',
      asks: ['read'],
      changes: false,
      headers: [{ name: 'X-Original-URI', text: 'The address in question.', schema: { type: 'string' } }],
      replies: [{ status: 200, text: 'The caller may have it; the body is empty.' }],
    },
    {
      id: 'followLog',
      method: 'GET',
      path: '/+changelog/{serial}-',
      routedAs: '/+changelog/{serial}',
      title: 'The log, for replicas',
      text: 'Entries from the serial on, in the frames of `log-format/README.md`, then new ones as they come. A stream ends after 20 seconds, when there is nothing to send, and is asked for anew. No user gets it, not even root: `Authorization: Bearer` has a token of the secret that the servers share, for the replica named beside it.',
      asks: { noRight: 'it is for replicas, which are no users' },
      changes: false,
      headers: [
        { name: 'X-DEVPI-REPLICA-UUID', text: 'The replica that asks.', schema: text() },
        { name: 'X-DEVPI-PARENT', text: 'Its digest of the entry before the serial, in hex digits.', schema: text() },
        { name: 'X-DEVPI-EXPECTED-PRIMARY-ID', text: 'The primary that it follows, if it knows.', schema: text() },
        { name: 'X-DEVPI-REPLICA-OUTSIDE-URL', text: 'Where its own clients find it.', schema: text() },
      ],
      replies: [{ status: 200, text: 'Frames.', types: [CHANGELOG_TYPE] }],
      refuses: {
        'not-found': 'The log is not that long.',
        unauthenticated: 'There are no credentials.',
        forbidden: 'They are not those of a replica.',
        invalid: 'The replica expects another primary, or a header is not what is described here.',
        conflict: 'The replica has another history; `X-DEVPI-PARENT` of the reply is the digest here.',
        'not-available': 'Too many replicas follow, or the server stops.',
      },
    },
    {
      id: 'showEpoch',
      method: 'GET',
      path: '/+epoch',
      title: 'The epoch of the log, for other nodes',
      text: 'It grows with each promotion. The answer has `proof`, a token of the secret that the servers share, for the node that answers. A primary that is told of a later epoch than its own, by a node with such a token in `Authorization`, takes no more changes.',
      asks: { noRight: 'it is for replicas, which are no users' },
      changes: false,
      headers: [
        { name: 'X-DEVPI-REPLICA-UUID', text: 'The node that asks.', schema: text() },
        { name: 'X-DEVPI-EPOCH', text: 'The epoch there.', schema: text() },
        { name: 'X-DEVPI-HISTORY', text: 'Digest of the first entry there, in hex digits.', schema: text() },
        { name: 'X-DEVPI-PRIMARY-URL', text: 'Where clients find it, if it is a primary.', schema: text() },
      ],
      replies: [{ status: 200, text: 'The epoch here.', types: [JSON_TYPE], schema: object({ uuid: text(), epoch: { type: 'integer' }, history: text(), url: { type: ['string', 'null'] }, proof: text() }) }],
      refuses: { unauthenticated: 'There are no credentials.', forbidden: 'They are not those of a replica.' },
    },
    {
      id: 'readVault',
      method: 'GET',
      path: '/+vault',
      title: 'Verifiers, for replicas',
      text: 'What logins and uploads are checked with, so that a replica can take over: lines of JSON, `{"serial", "complete"}`, then `[name, secret]` for each that changed behind `since`, null for one that is gone, and `{"end": true}`. It is for replicas, as the log is.',
      asks: { noRight: 'it is for replicas, which are no users' },
      changes: false,
      headers: [{ name: 'X-DEVPI-REPLICA-UUID', text: 'The replica that asks.', schema: text() }],
      query: [{ name: 'since', text: 'A serial; without it all secrets are sent.', schema: text() }],
      replies: [{ status: 200, text: 'Lines.', types: ['application/x-ndjson'] }],
      refuses: {
        unauthenticated: 'There are no credentials.',
        forbidden: 'They are not those of a replica.',
        invalid: '`since` is no serial.',
      },
    },
  ],
  shapes: {
    ApiConfig: object({
      login: text(),
      authstatus: { type: 'array', prefixItems: [{ enum: ['ok', 'noauth', 'expired'] }, text(), listOf(text())], minItems: 3, maxItems: 3, description: 'State, user and groups.' },
      features: listOf(text()),
      'index?': text(),
      'simpleindex?': text(),
      'pypisubmit?': text(),
    }),
    Readiness: object({ status: { enum: ['ready', 'unready'] }, reasons: listOf(text()) }),
    PollingReplica: object({
      'remote-ip': text(),
      serial: { type: 'integer', description: 'The newest entry that it has or was sent.' },
      'in-request': flag('Whether it follows now.'),
      'is-streaming': flag(),
      'last-request': { type: 'number' },
      'outside-url': { type: ['string', 'null'] },
    }),
    Status: object({
      uuid: text(),
      versioninfo: mapOf(text()),
      role: { enum: ['MASTER', 'REPLICA'] },
      serial: { type: 'integer' },
      digest: text('Of the newest entry: the same on every node that is at the serial.'),
      epoch: { type: 'integer', description: 'Grows with each promotion.' },
      'fenced?': text('Why nothing can be changed here: another server was promoted.'),
      'last-commit-timestamp': { type: 'number', description: 'Seconds since the epoch, as the others.' },
      'event-serial': { type: 'integer' },
      'event-serial-timestamp': { type: 'number' },
      'event-serial-in-sync-at': { type: 'number' },
      metrics: listOf({ type: 'array', prefixItems: [text(), { enum: ['counter', 'gauge'] }, { type: 'number' }], minItems: 3, maxItems: 3 }),
      polling_replicas: mapOf(ref('PollingReplica')),
      'replica-files-in-sync-at?': { type: ['number', 'null'] },
      'replica-files-paused?': { type: ['string', 'null'] },
      'replication-errors?': mapOf(object({ url: text(), message: text(), relpath: text() })),
      'serverdir?': text(),
      'server-code?': text(),
      'host?': text(),
      'port?': { type: 'integer' },
      'outside-url?': { type: ['string', 'null'] },
      ...REPLICA_STATUS,
      'set-aside?': listOf(object({ file: text(), from: { type: 'integer' }, to: { type: 'integer' } })),
    }),
  },
}
