import { json, listOf, mapOf, message, type Noun, object, type Operation, ref, result, type Schema, switchParameter, text } from './description.js'

const FORCE = switchParameter('force', 'Also where the index is not volatile.')
const RELEASE = '/{user}/{index}/{project}'
export const YANKED: Schema = { type: ['boolean', 'string'], description: 'A text is the reason (PEP 592).' }

/** Yanking, of a version or a file. */
export const yank: Pick<Operation, 'method' | 'asks' | 'changes' | 'body' | 'replies'> = {
  method: 'PATCH',
  asks: ['yank'],
  changes: true,
  body: json(object({ yanked: { ...YANKED, description: '`true`, a reason of up to 1,000 characters, or `false` to take it back.' } }), { yanked: 'does not greet' }),
  replies: [message('Yanked, or no longer yanked.')],
}

/** Removing contents of an index. */
export const removal: Pick<Operation, 'method' | 'asks' | 'changes' | 'query' | 'replies' | 'refuses'> = {
  method: 'DELETE',
  asks: ['delete', 'force'],
  changes: true,
  query: [FORCE],
  replies: [message('Removed. `X-DEVPI-SERIAL` is the serial by which the removal can be undone.')],
}

export const projects: Noun = {
  title: 'Projects and versions',
  text: 'Names of projects are normalised (PEP 503); a GET with another spelling is redirected.',
  operations: [
    {
      id: 'showProject',
      method: 'GET',
      path: RELEASE,
      title: 'A project with all its versions',
      text: 'To installers this address is the simple page of the project. Programs name `application/json` in `Accept`.',
      asks: ['read'],
      changes: false,
      query: [switchParameter('ignore_bases', 'Of this index alone.')],
      replies: [
        result('projectconfig', mapOf(ref('Version')), 'Versions, those of the bases included.'),
        { status: 302, text: 'To the normal spelling of the name.' },
      ],
      refuses: { 'unsupported-media-type': '`Accept` does not name `application/json`.', 'upstream-failed': 'Nothing is known here of the project, or of the version, and the upstream of a mirror could not be asked.' },
    },
    { id: 'deleteProject', path: RELEASE, title: 'Remove a project from an index', ...removal },
    {
      id: 'showVersion',
      method: 'GET',
      path: `${RELEASE}/{version}`,
      title: 'A version',
      asks: ['read'],
      changes: false,
      replies: [
        result('versiondata', ref('Version'), 'Metadata, files, test reports and documentation.'),
        { status: 302, text: 'To the normal spelling of the name.' },
      ],
      refuses: { 'upstream-failed': 'Nothing is known here of the project, or of the version, and the upstream of a mirror could not be asked.' },
    },
    { id: 'yankVersion', path: `${RELEASE}/{version}`, title: 'Yank a version', ...yank },
    { id: 'deleteVersion', path: `${RELEASE}/{version}`, title: 'Remove a version', ...removal },
  ],
  shapes: {
    Version: {
      type: 'object',
      required: ['name', 'version'],
      description: 'Fields of core metadata under their names in upload forms, and what begins with `+`.',
      properties: {
        name: text(),
        version: text(),
        yanked: YANKED,
        '+links': listOf(ref('Link')),
        '+shadowing': { ...listOf({ type: 'object' }), description: 'The same version of further indexes, each in the same shape.' },
      },
      additionalProperties: { type: ['string', 'array'] },
    },
    Link: object({
      rel: { enum: ['releasefile', 'toxresult', 'doczip'] },
      hash_spec: text('`sha256=…`'),
      hashes: mapOf(text()),
      href: text(),
      'for_href?': text('Of a test report: the file it is about.'),
      'yanked?': YANKED,
      log: listOf(ref('LinkLogEntry')),
    }),
    LinkLogEntry: object({
      what: text('`upload`, `overwrite`, `push`, …'),
      who: { type: ['string', 'null'] },
      when: { ...listOf({ type: 'integer' }), description: 'Year, month, day, hour, minute and second in UTC.' },
      'count?': { type: 'integer' },
      'src?': text(),
      'dst?': text(),
    }),
  },
}
