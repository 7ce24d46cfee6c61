import { flag, json, listOf, type Noun, object, ref, result, text } from './description.js'

const RELEASE = {
  name: text(),
  version: text(),
  'no_docs?': flag('Without the documentation.'),
  'only_docs?': flag('The documentation alone.'),
} as const

export const pushes: Noun = {
  title: 'Pushes',
  text: 'A release, with its files, test reports and documentation, goes from the index of the address to another. It must be on that index itself: one that it inherits is pushed from where it comes from, which the refusal names. The verb `PUSH` of the reference client means `POST`.',
  operations: [
    {
      id: 'pushRelease',
      method: 'POST',
      path: '/{user}/{index}/',
      title: 'Push to another index',
      text: 'All of it or nothing, in one entry of the log. What is there already with the same bytes counts as done. From a mirror goes what it has itself: files that are not stored yet are fetched from the upstream first and checked against the digests it announced, and wheels and sdists say what the metadata is.',
      asks: ['read', 'push'],
      changes: true,
      body: json(object({ ...RELEASE, targetindex: text('`user/index`.') }), { name: 'hello-devpi', version: '1.0', targetindex: 'alice/prod' }),
      replies: [result('actionlog', ref('ActionLog'), 'Pushed.')],
      refuses: {
        conflict: 'The target has a file of the same name with other bytes, and is not volatile; or the upstream of a mirror replaced a file while it was fetched.',
        'upstream-failed': 'A file of a mirror could not be fetched; nothing was pushed.',
      },
    },
    {
      id: 'pushElsewhere',
      method: 'POST',
      path: '/{user}/{index}/',
      title: 'Push to another server',
      text: 'As upload tools send it, file by file; what was sent stays sent. Nothing changes here. All files of a release of a mirror are here, fetched and checked, before the first is sent. Hosts in private networks are refused unless the operator named them.',
      asks: ['read', 'push-elsewhere'],
      changes: false,
      body: json(
        object({ ...RELEASE, posturl: text('Without user and password.'), 'username?': text(), 'password?': text(), 'register_project?': flag() }),
        { name: 'hello-devpi', version: '1.0', posturl: 'https://pypi.example.com/legacy/', username: 'alice', password: 'wonderland' },
      ),
      replies: [
        result('actionlog', ref('ActionLog'), 'All of it was taken.'),
        result('actionlog', ref('ActionLog'), 'The other server took less than all of it; `result` has a row for each attempt.', 502),
      ],
      refuses: {
        conflict: 'The upstream of a mirror replaced a file while it was fetched.',
        'upstream-failed': 'A file of a mirror could not be fetched; nothing was sent.',
      },
    },
  ],
  shapes: {
    ActionLog: {
      ...listOf({ type: 'array', items: { type: ['integer', 'string'] } }),
      description: 'Rows of a status, what was done, and to what.',
    },
  },
}
