import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import type { FileValue, LinkValue } from '#log-format/values.js'
import { hasPolicy, type JudgedFile, liftedAt, policyOn, type PolicySettings, ruleText } from '#server/packaging/release-policy.js'
import type { Reader } from '#server/storage/reader.js'
import { linksAt } from './files.js'
import { type FileRef, indexName, type IndexRef } from './lookups.js'

/*
 * Files at their own addresses, and releases that are pushed: there the policy
 * of the index that has them decides, as on its own pages.
 */

/** An index and what it says now of the releases it shows; `now` is ms since the epoch. */
export interface PolicyOfIndex extends IndexRef {
  readonly settings: PolicySettings
  readonly now: number
}

/**
 * Refuses `forbidden`, with the rules and when they lift, what the policy of
 * the index hides: a release file, and the reports of tests on one.
 */
export async function requireShownFile(reader: Reader, policy: PolicyOfIndex, ref: FileRef, file: FileValue): Promise<void> {
  if (!hasPolicy(policy.settings)) return
  const judged: JudgedFile[] = []
  for (const { ref: place, link } of await linksAt(reader, ref, file)) {
    const release = link.forFile === undefined ? link : await reader.get(keys.link({ ...place, basename: link.forFile }))
    if (release?.rel !== 'releasefile') return // documentation, and reports on what is gone
    judged.push({ version: place.version, entered: release.time })
  }
  requireShown(policy, { project: file.project, basename: ref.basename }, judged)
}

/** Refuses `forbidden` to take along release files that the policy of their index hides. */
export function requireShownLinks(policy: PolicyOfIndex, links: readonly { readonly ref: NamedFile & { readonly version: string }; readonly link: LinkValue }[]): void {
  for (const { ref, link } of links) {
    if (link.rel === 'releasefile') requireShown(policy, ref, [{ version: ref.version, entered: link.time }])
  }
}

interface NamedFile {
  readonly project: string
  readonly basename: string
}

/** The same bytes under the same name may stand in several versions: one of them that is shown is enough. */
export function requireShown(policy: PolicyOfIndex, { project, basename }: NamedFile, judged: readonly JudgedFile[]): void {
  const judge = policyOn(policy.settings, project)
  if (judge === undefined) return
  const verdicts = judged.map((file) => judge(file, policy.now))
  const [first] = verdicts
  if (first === undefined || verdicts.some(({ hiddenBy }) => hiddenBy.length === 0)) return
  const lifted = liftedAt(first.hiddenBy)
  const when = lifted === undefined ? '' : `; it is shown from ${new Date(lifted).toISOString()} on`
  throw new Refusal('forbidden', `${basename} is hidden by ${first.hiddenBy.map((rule) => ruleText(rule, indexName(policy))).join(' and ')}${when}`)
}
