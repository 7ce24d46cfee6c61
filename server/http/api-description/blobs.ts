import type { Noun } from './description.js'

export const blobs: Noun = {
  title: 'Contents',
  text: 'What replicas fetch beside the log. A request names its replica in `X-DEVPI-REPLICA-UUID` and brings a token that is signed with the secret of both servers.',
  operations: [
    {
      id: 'downloadBlob',
      method: 'GET',
      path: '/+blobs/{sha256}',
      title: 'A content by its sha256',
      text: 'Whatever it is called and whoever may read it: users are refused, root too.',
      asks: { noRight: 'only replicas get it' },
      changes: false,
      headers: [
        { name: 'X-DEVPI-REPLICA-UUID', text: 'The replica, 32 hex digits.', schema: { type: 'string' } },
        { name: 'Range', text: 'A part of it.', schema: { type: 'string' } },
      ],
      replies: [
        { status: 200, text: 'The content, for ever the same.', types: ['application/octet-stream'] },
        { status: 206, text: 'The part that `Range` asks for.', types: ['application/octet-stream'] },
        { status: 304, text: 'It is the one that `If-None-Match` names.' },
      ],
      refuses: {
        unauthenticated: 'There are no credentials.',
        forbidden: 'The credentials are not those of a replica.',
        'range-not-satisfiable': 'The range lies behind its end.',
      },
    },
  ],
}
