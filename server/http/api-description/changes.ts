import { EVENT_STREAM_TYPE } from '../negotiate.js'
import { flag, json, listOf, message, type Noun, object, type Parameter, ref, result, text } from './description.js'

function name(of: string, what: string): Parameter {
  return { name: of, text: what, schema: { type: 'string' } }
}

export const changes: Noun = {
  title: 'Changes and undo',
  text: 'What happened, from the log: each caller sees what that caller may read now, the rest are gaps in the serials.',
  operations: [
    {
      id: 'listChanges',
      method: 'GET',
      path: '/+changes',
      title: 'Who did what, when',
      text: 'Oldest first, at first from the beginning; `next` is the `since` to go on with while `more` is true. Users, indexes and projects are chosen by the names of their time. With `Accept: text/event-stream`, a stream of server-sent events that stays open and starts now, or after `since` or `Last-Event-ID`.',
      asks: ['read', 'user-history', 'inspect'],
      changes: false,
      query: [
        { name: 'since', text: 'The serial seen last; -1, from the beginning, unless given.', schema: { type: 'integer', minimum: -1 } },
        { name: 'limit', text: 'Changes in one reply; 100 unless given.', schema: { type: 'integer', minimum: 1, maximum: 1000 } },
        name('user', 'Of this user and the indexes under that name.'),
        name('index', 'Of this index, `user/index`.'),
        name('project', 'About this project.'),
      ],
      headers: [{ name: 'Last-Event-ID', text: 'Of a stream: the serial seen last.', schema: { type: 'string' } }],
      replies: [
        result('changes', ref('Changes'), 'Changes, and where to go on.'),
        { status: 200, text: 'Events named by their serial, each with a `Change` as its data.', types: [EVENT_STREAM_TYPE] },
      ],
      refuses: {
        'not-found': '`Accept` admits neither JSON nor events.',
        unauthenticated: 'A token expired or was revoked.',
        invalid: 'A parameter is not what is described here.',
        'not-available': 'Too many streams are open.',
      },
    },
    {
      id: 'undoRemoval',
      method: 'POST',
      path: '/+undo',
      title: 'Undo a removal',
      text: 'Puts back what the removal of a file, version, project, index or user took, in one entry of the log. Passwords, tokens and credentials of an upstream stay gone.',
      asks: ['undo'],
      changes: true,
      body: json(object({ serial: { type: 'integer', minimum: 0, description: 'Of the removal.' } }), { serial: 12 }),
      replies: [message('Undone.')],
      refuses: {
        'not-found': 'There is no such serial, or nothing that the caller may know of.',
        conflict: 'Something else stands in the place, or what it stood in is gone; the message names the paths.',
        gone: 'Files that were removed are no longer kept.',
      },
    },
  ],
  shapes: {
    Change: object({
      serial: { type: 'integer' },
      time: text('ISO 8601 in UTC, with milliseconds.'),
      actor: text('A user name, or `+anonymous`, `+system`, `+replica`, `+upstream`.'),
      mutation: { type: 'object', required: ['kind'], properties: { kind: text() }, description: 'Fields as in the log.' },
    }),
    Changes: object({
      changes: listOf(ref('Change')),
      next: { type: 'integer', description: '`since` of the request that goes on from here.' },
      more: flag('Whether that would find more.'),
    }),
  },
}
