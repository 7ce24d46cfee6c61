import { json, listOf, mapOf, message, type Noun, object, ONLY_JSON, ref, result, text } from './description.js'

const MEMBERS = listOf(text('A user.'))

export const groups: Noun = {
  title: 'Groups',
  text:
    '`:name` in `acl_read`, `acl_upload`, `acl_toxresult_upload` and `--restrict-modify` stands for the members of the group of that name. ' +
    'Who is a member is looked up with each request.',
  operations: [
    {
      id: 'listGroups',
      method: 'GET',
      path: '/+groups',
      title: 'All groups',
      asks: ['group-read'],
      changes: false,
      replies: [result('list:groupconfig', mapOf(ref('ListedGroup')), 'Groups by name, without their members.')],
      refuses: ONLY_JSON,
    },
    {
      id: 'showGroup',
      method: 'GET',
      path: '/+groups/{group}',
      title: 'A group',
      asks: ['group-read'],
      changes: false,
      replies: [result('groupconfig', ref('Group'), 'The group with its members.')],
    },
    {
      id: 'createGroup',
      method: 'PUT',
      path: '/+groups/{group}',
      title: 'Create a group',
      asks: ['group-modify'],
      changes: true,
      body: json(object({ 'members?': MEMBERS }), { members: ['alice'] }),
      replies: [result('groupconfig', ref('Group'), 'The group was created.', 201)],
      refuses: { conflict: 'There is a group of that name.' },
    },
    {
      id: 'modifyGroup',
      method: 'PATCH',
      path: '/+groups/{group}',
      title: 'Change who is a member',
      text: 'Either all members anew, or a list of `members+=name`, `members-=name` and `members=name,name`, applied in turn.',
      asks: ['group-modify'],
      changes: true,
      body: json({ anyOf: [object({ members: MEMBERS }), listOf(text())] }, ['members+=bob']),
      replies: [result('groupconfig', ref('Group'), 'The group as it is now.')],
    },
    {
      id: 'deleteGroup',
      method: 'DELETE',
      path: '/+groups/{group}',
      title: 'Delete a group',
      text: 'Settings that name it stay as they are, and then stand for nobody.',
      asks: ['group-modify'],
      changes: true,
      replies: [message('Deleted.')],
    },
  ],
  shapes: {
    Group: object({ name: text(), created: text('`YYYY-MM-DDTHH:MM:SSZ`.'), members: MEMBERS }),
    ListedGroup: object({ name: text(), created: text('`YYYY-MM-DDTHH:MM:SSZ`.') }),
  },
}
