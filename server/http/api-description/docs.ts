import type { Noun, Operation, Reply } from './description.js'

const REPLIES: readonly Reply[] = [
  { status: 200, text: 'The page or file, in a sandbox.', types: ['text/html', '*/*'] },
  { status: 302, text: 'To the `index.html` of a folder, or with the project in its normal spelling.' },
  { status: 304, text: 'It is the one that `If-None-Match` names.' },
]
const READ: Pick<Operation, 'method' | 'asks' | 'changes' | 'replies'> = { method: 'GET', asks: ['read'], changes: false, replies: REPLIES }

export const docs: Noun = {
  title: 'Documentation',
  text:
    'Served out of the zip that was uploaded. `latest` and `stable` stand for the newest version that has documentation and the newest that is no pre-release. ' +
    'It belongs to this index alone.',
  operations: [
    {
      id: 'openDocs',
      path: '/{user}/{index}/{project}/{version}/+doc/',
      alsoAt: ['/{user}/{index}/{project}/{version}/+d/'],
      title: 'The start of a documentation',
      ...READ,
    },
    {
      id: 'readDocs',
      path: '/{user}/{index}/{project}/{version}/+doc/{path}',
      alsoAt: ['/{user}/{index}/{project}/{version}/+d/{path}'],
      title: 'A page or file of a documentation',
      text: '`path` may hold slashes.',
      ...READ,
    },
  ],
}
