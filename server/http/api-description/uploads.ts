import type { JsonValue } from '#log-format/values.js'
import { type Body, type Noun, type Operation, type Reply, type Schema, text } from './description.js'

const DONE: Reply = { status: 200, text: 'Done; the body is empty. A refusal is also in the reason phrase, which upload tools print.' }

const RELEASE = { name: text(), version: text() } as const
const FILE: Schema = { type: 'string', format: 'binary' }

/** A form with further fields of core metadata (`summary`, `requires_dist`, …). */
function form(action: string, fields: Readonly<Record<string, Schema>>, example: JsonValue): Body {
  const required = [':action', ...Object.keys(fields).filter((name) => !name.endsWith('?'))]
  const properties = Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name.replace(/\?$/, ''), schema]))
  return { type: 'multipart/form-data', schema: { type: 'object', required, properties: { ':action': { const: action }, ...properties } }, example }
}

function upload(operation: Pick<Operation, 'id' | 'title' | 'text' | 'body' | 'refuses'>): Operation {
  return { ...operation, method: 'POST', path: '/{user}/{index}/', asks: ['upload'], changes: true, replies: [DONE] }
}

export const uploads: Noun = {
  title: 'Uploads',
  text: 'Forms as twine, flit, poetry and uv send them. All of them go to the address of the index and differ in `:action`.',
  operations: [
    upload({
      id: 'uploadFile',
      title: 'Upload a release file',
      text:
        'The project and the version come to be with their first file. Fields of core metadata may be sent along; what the form leaves out is read from the archive. ' +
        'The same file once more is no change, and another one of the same name replaces it where the index is volatile.',
      body: form(
        'file_upload',
        { ...RELEASE, content: FILE, 'sha256_digest?': text(), 'md5_digest?': text(), 'blake2_256_digest?': text() },
        { ':action': 'file_upload', name: 'hello-devpi', version: '1.0', content: '@hello_devpi-1.0-py3-none-any.whl' },
      ),
      refuses: { conflict: 'The file is there with other bytes, and the index is not volatile; or the same bytes belong to another project.' },
    }),
    upload({
      id: 'uploadDocs',
      title: 'Upload documentation',
      text: 'A zip of HTML pages with an `index.html` at its top; without `version`, for the newest.',
      body: form(
        'doc_upload',
        { name: text(), 'version?': text(), content: FILE },
        { ':action': 'doc_upload', name: 'hello-devpi', version: '1.0', content: '@docs.zip' },
      ),
      refuses: { conflict: 'There is documentation with other bytes, and the index is not volatile.' },
    }),
    upload({
      id: 'registerVersion',
      title: 'Register a version without a file',
      body: form('submit', RELEASE, { ':action': 'submit', name: 'hello-devpi', version: '1.0' }),
    }),
  ],
}
