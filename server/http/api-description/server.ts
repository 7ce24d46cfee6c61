import { JSON_TYPE } from '../negotiate.js'
import { listOf, mapOf, type Noun, object, ONLY_JSON, type Operation, ref, result, text } from './description.js'

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
      path: '/+changelog/{path}',
      title: 'The log, for replicas',
      text: 'There are none yet, so everybody is refused.',
      asks: { noRight: 'nobody gets it' },
      changes: false,
      replies: [],
      refuses: { forbidden: 'Always.' },
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
    Status: object({
      uuid: text(),
      versioninfo: mapOf(text()),
      role: { enum: ['MASTER', 'REPLICA'] },
      serial: { type: 'integer' },
      'last-commit-timestamp': { type: 'number', description: 'Seconds since the epoch, as the others.' },
      'event-serial': { type: 'integer' },
      'event-serial-timestamp': { type: 'number' },
      'event-serial-in-sync-at': { type: 'number' },
      metrics: listOf({ type: 'array', prefixItems: [text(), { enum: ['counter', 'gauge'] }, { type: 'number' }], minItems: 3, maxItems: 3 }),
      polling_replicas: mapOf({ type: 'object' }),
      'serverdir?': text(),
      'server-code?': text(),
      'host?': text(),
      'port?': { type: 'integer' },
      'outside-url?': { type: ['string', 'null'] },
    }),
  },
}
