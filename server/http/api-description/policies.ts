import { flag, json, listOf, type Noun, object, ref, result, type Schema, text } from './description.js'

const COUNT: Schema = { type: 'integer' }
const VERSION: Schema = { type: ['string', 'null'] }

export const policies: Noun = {
  title: 'Policies',
  text: 'Why a page has what it has, and what another policy would do to it. The options of a policy are settings of an index.',
  operations: [
    {
      id: 'explainProject',
      method: 'GET',
      path: '/{user}/{index}/+why/{project}',
      title: 'How the page of a project comes about',
      text: 'Asks the upstreams that the page would ask, and none for a private name.',
      asks: ['read'],
      changes: false,
      replies: [result('why', ref('Why'), 'What each index has, what decided, and which files are hidden by which rule until when.')],
      refuses: { invalid: 'No project can have that name.' },
    },
    {
      id: 'simulatePolicy',
      method: 'POST',
      path: '/{user}/{index}/+policy-simulate',
      title: 'What a policy would hide',
      text:
        'Options of a policy, as settings of an index are written, are laid over those that the index has; `null` takes one away. Looks at `projects`, or all that are known here, ' +
        'asks no upstream, and changes nothing. A reply covers up to 500 projects or 50,000 files: `next` is the `after` of a request that goes on.',
      asks: ['read'],
      changes: false,
      body: json(
        object({ 'min_release_age?': text(), 'freeze_at?': text(), 'constraints?': listOf(text()), 'policy_exemptions?': listOf(text()), 'projects?': listOf(text()), 'after?': text() }),
        { min_release_age: '7d', constraints: ['!leftpad'] },
      ),
      replies: [result('policysimulation', ref('PolicySimulation'), 'The projects whose pages would change.')],
    },
  ],
  shapes: {
    HidingRule: object({
      option: { enum: ['min_release_age', 'freeze_at', 'constraints'] },
      'index?': text('Left out, as `value` is, of an index that the caller may not read.'),
      'value?': text('Of the option, or the line of it.'),
      'until?': text('When time alone lifts it.'),
    }),
    HiddenFile: object({
      file: text(),
      version: text(),
      index: text('That has it.'),
      rules: listOf(ref('HidingRule')),
      'until?': text('When it is shown, if time alone lifts all rules.'),
    }),
    Why: object({
      index: text(),
      project: text('In normal form.'),
      asked: { ...listOf(ref('WhyIndex')), description: 'In resolution order, as far as the caller may read them.' },
      mirrors: object({ open: flag('Whether mirrors may add to it.'), reason: text() }),
      sees: object({ files: COUNT, versions: listOf(text()), newest: VERSION }),
      hidden: { ...listOf(ref('HiddenFile')), description: 'The first 1000.' },
      hiddenCount: COUNT,
      disagreements: { ...listOf(ref('Disagreement')), description: 'Files of mirrors of which upstreams state different digests, the first 1000 of each.' },
    }),
    Disagreement: object({
      file: text(),
      version: text(),
      index: text('The mirror.'),
      sha256: text('That was stated first: no other content is served.'),
      others: listOf(object({ upstream: text(), sha256: text() })),
    }),
    WhyIndex: object({
      index: text(),
      type: { enum: ['stage', 'mirror'] },
      decision: { enum: ['shown', 'absent', 'shadowed', 'failed'] },
      reason: text('One sentence.'),
      'files?': { ...COUNT, description: 'What it has, shown or not; not known of a mirror that was not asked.' },
      'versions?': listOf(text()),
      shown: COUNT,
      hidden: COUNT,
      outranked: { ...COUNT, description: 'Files whose name an index before it has.' },
    }),
    PolicySimulation: object({
      projects: listOf(ref('SimulatedProject')),
      looked: object({ projects: COUNT, files: COUNT, hides: COUNT }),
      next: { ...VERSION, description: 'Null when that was all.' },
    }),
    SimulatedProject: object({
      project: text(),
      files: { ...COUNT, description: 'On the page now.' },
      hides: { ...COUNT, description: 'How many of them would be hidden.' },
      shows: { ...COUNT, description: 'How many that are hidden would be shown.' },
      newest: object({ now: VERSION, then: VERSION }),
      hidden: { ...listOf(ref('HiddenFile')), description: 'The first 50 of those that would be hidden.' },
    }),
  },
}
