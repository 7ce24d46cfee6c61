import { SIMPLE_HTML_TYPE, SIMPLE_JSON_TYPE } from '../negotiate.js'
import { listOf, mapOf, type Noun, object, type Operation, ref, type Reply, text } from './description.js'

const HTML = ['text/html', SIMPLE_HTML_TYPE] as const

/** What all of these have: pages in three spellings, each with an ETag. */
function page(shape: string): Pick<Operation, 'method' | 'asks' | 'changes' | 'replies' | 'refuses'> {
  const replies: readonly Reply[] = [
    { status: 200, text: 'JSON, to who accepts it. `X-DEVPI-POLICY: hidden=3` says how many files policies hide, and with `lifts` when the next one is shown. With `Cache-Control: no-store` while the upstream of a mirror cannot be asked, so that files may be missing.', types: [SIMPLE_JSON_TYPE], schema: ref(shape) },
    { status: 200, text: 'HTML, to all others.', types: HTML },
    { status: 302, text: 'To the address with a slash behind it, or with the project in its normal spelling.' },
    { status: 304, text: 'The page is the one that `If-None-Match` names.' },
  ]
  return { method: 'GET', asks: ['read'], changes: false, replies, refuses: { 'upstream-failed': 'Nothing is known here of the project, or of the list of a mirror, and its upstream could not be asked.' } }
}

export const simple: Noun = {
  title: 'The simple API',
  text: 'What installers read: PEP 503 and 691, version 1.4. Files of the bases are on the pages, too.',
  operations: [
    {
      id: 'listProjects',
      path: '/{user}/{index}/+simple/',
      alsoAt: ['/{user}/{index}/simple/'],
      title: 'All projects of an index',
      text: 'With those that the upstreams of its mirrors list.',
      ...page('SimpleList'),
    },
    {
      id: 'showProjectPage',
      path: '/{user}/{index}/+simple/{project}/',
      alsoAt: ['/{user}/{index}/simple/{project}/'],
      title: 'The files of a project',
      ...page('SimpleProject'),
    },
    {
      id: 'listPastProjects',
      path: '/{user}/{index}/+at/{serial}/+simple/',
      alsoAt: ['/{user}/{index}/+at/{serial}/simple/'],
      title: 'All projects of an index as of a serial',
      ...page('SimpleList'),
    },
    {
      id: 'showPastProjectPage',
      path: '/{user}/{index}/+at/{serial}/+simple/{project}/',
      alsoAt: ['/{user}/{index}/+at/{serial}/simple/{project}/'],
      title: 'The files of a project as of a serial',
      text: 'As `pip install --index-url` takes it. Whether the caller may read is decided by the settings of now.',
      ...page('SimpleProject'),
    },
    {
      id: 'refreshProject',
      method: 'POST',
      path: '/{user}/{index}/+simple/{project}/refresh',
      title: 'Have a mirror ask its upstream again',
      asks: ['read'],
      changes: false,
      replies: [{ status: 302, text: 'To the page of the project; on a stage there is nothing to ask.' }],
      refuses: { 'upstream-failed': 'An upstream could not be asked; what is stored of it stays.' },
    },
  ],
  shapes: {
    Hashes: mapOf(text()),
    SimpleFile: object({
      filename: text(),
      url: text(),
      hashes: ref('Hashes'),
      'requires-python?': text(),
      'size?': { type: 'integer' },
      'upload-time?': text(),
      'yanked?': { type: ['boolean', 'string'] },
      'core-metadata?': { anyOf: [{ type: 'boolean' }, ref('Hashes')] },
      'data-dist-info-metadata?': { anyOf: [{ type: 'boolean' }, ref('Hashes')] },
      'provenance?': text(),
    }),
    SimpleMeta: object({ 'api-version': text(), '_last-serial?': { type: 'integer' } }),
    SimpleProject: object({
      meta: ref('SimpleMeta'),
      name: text(),
      'project-status?': object({ status: text(), 'reason?': text() }),
      versions: listOf(text()),
      files: listOf(ref('SimpleFile')),
    }),
    SimpleList: object({ meta: ref('SimpleMeta'), projects: listOf(object({ name: text() })) }),
  },
}
