import { listOf, mapOf, type Noun, object, type Operation, ref, type Reply, result, text } from './description.js'
import { removal, yank } from './projects.js'

const PLACE: Pick<Operation, 'path' | 'routedAs'> = {
  path: '/{user}/{index}/+f/{dirA}/{dirB}/{basename}',
  routedAs: '/{user}/{index}/+f/{path}',
}

const CONTENT: readonly Reply[] = [
  { status: 200, text: 'The file, with a strong `ETag`, for ever the same.', types: ['application/octet-stream'] },
  result('releasefilemeta', ref('FileMeta'), 'To `Accept: application/json`: what is known about it.'),
  { status: 206, text: 'The part that `Range` asks for.', types: ['application/octet-stream'] },
  { status: 304, text: 'It is the one that `If-None-Match` or `If-Modified-Since` names.' },
]

const HIDDEN = 'Who is logged in may not do this, or a policy of the index hides the file: then the message has the rule and when it lifts.'

export const files: Noun = {
  title: 'Files',
  text:
    'Addresses of files are found on simple pages and in `+links`; `dirA` and `dirB` are the beginning of the sha256. ' +
    'With `.metadata` behind its address a wheel answers its core metadata (PEP 658).',
  operations: [
    {
      id: 'downloadFile',
      method: 'GET',
      ...PLACE,
      title: 'A file',
      asks: ['read'],
      changes: false,
      replies: CONTENT,
      refuses: { forbidden: HIDDEN, gone: 'The file was there and is no longer.', 'range-not-satisfiable': 'The range lies behind its end.', 'upstream-failed': 'The upstream of a mirror does not give it.', 'not-available': 'It has to come from elsewhere first; for the metadata of a wheel of a mirror, `Retry-After` says when it is expected.' },
    },
    {
      id: 'downloadPastFile',
      method: 'GET',
      path: '/{user}/{index}/+at/{serial}/+f/{dirA}/{dirB}/{basename}',
      routedAs: '/{user}/{index}/+at/{serial}/+f/{path}',
      title: 'A file as of a serial',
      asks: ['read'],
      changes: false,
      replies: CONTENT,
      refuses: { forbidden: HIDDEN, gone: 'The file is no longer kept.', 'range-not-satisfiable': 'The range lies behind its end.' },
    },
    {
      id: 'attachToxresult',
      method: 'POST',
      ...PLACE,
      title: 'Attach a test report to a file',
      text: 'Any JSON document of up to 64 MB, as tox writes it with `--result-json`; it is kept byte for byte.',
      asks: ['read', 'toxresult-upload'],
      changes: true,
      body: { type: 'application/json', schema: {}, example: { host: 'builder', platform: 'linux', testenvs: {} } },
      replies: [result('toxresultpath', text('Path of the report and its sha256.'), 'Attached.')],
    },
    {
      id: 'showToxSummaries',
      method: 'GET',
      path: '/{user}/{index}/{project}/{version}/+toxresults',
      title: 'What the test reports of a version say',
      text: 'Of each file, host, platform and environment what the newest report says, as far as it is in the form of tox and not over 1 MiB.',
      asks: ['read'],
      changes: false,
      replies: [result('toxresults', listOf(ref('ToxSummary')), 'Sorted by file, host, platform and environment.')],
    },
    { id: 'yankFile', ...PLACE, title: 'Yank a file', ...yank, refuses: { conflict: 'The version is yanked as a whole.' } },
    { id: 'deleteFile', ...PLACE, title: 'Remove a file', ...removal, refuses: { gone: 'The file was removed before.' } },
  ],
  shapes: {
    ToxSummary: object({
      file: text(),
      host: text(),
      platform: text(),
      environment: text(),
      state: { enum: ['passed', 'failed', 'unknown'], description: '`unknown` when no test was run.' },
      commands: { type: 'integer', description: 'How many were run.' },
      failed: { type: 'integer' },
      'python?': text(),
      time: text('RFC 3339, when the report came.'),
      href: text('URL of the report.'),
    }),
    FileMeta: object({ last_modified: text(), hash_spec: text(), hashes: mapOf(text()), project: text(), 'version?': text() }),
  },
}
