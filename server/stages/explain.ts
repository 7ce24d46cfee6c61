import type { DisagreementJson, HiddenFileJson, WhyDecision, WhyIndexJson, WhyJson } from '#log-format/api/why.js'
import { indexName } from '#server/commands/lookups.js'
import { liftedAt } from '#server/packaging/release-policy.js'
import { utcTime } from '#server/packaging/utc-time.js'
import { asMirror } from '#server/commands/mirrors.js'
import { filesShown } from './contributions.js'
import { disagreementsOn } from './disagreements.js'
import { decideMirrors, indexesHaving, type MirrorsDecision } from './inherited-stage.js'
import { snapshotOf } from './live-project.js'
import type { OpenStage } from './open-stage.js'
import { applyPolicies, type Contribution, type HiddenFile } from './policies.js'
import { readProjectFiles } from './project-files.js'
import type { Freshness } from './refresh-mirror.js'
import type { IndexInOrder } from './resolution-order.js'

/** Hidden files that are told of one by one. */
const MOST_HIDDEN = 1000

/**
 * How the page of a project comes about on a stage, as its reader shows it.
 * `asked` is what the upstreams said that were asked. Of indexes that the
 * caller may not read it says no more than what they do to the page.
 */
export async function explain(stage: OpenStage, project: string, asked: ReadonlyMap<string, Freshness>): Promise<WhyJson> {
  const having = await indexesHaving(stage, project)
  const decision = decideMirrors(stage, project, having)
  const contributions: Contribution[] = []
  const disagreements: DisagreementJson[] = []
  const indexes: { readonly found: IndexInOrder; readonly decision: WhyDecision; readonly reason: string; readonly had: Contribution | undefined }[] = []
  for (const found of stage.order) {
    const isShadowed = found.value.type === 'mirror' && !decision.isOpen
    const had = isShadowed ? undefined : await readContribution(stage, found, project)
    if (had !== undefined) contributions.push(had)
    const mirror = had && asMirror(found)
    if (mirror !== undefined) disagreements.push(...(await disagreementsOn(stage.reader, mirror, project)))
    indexes.push({ found, had, ...outcomeOf(found, { isShadowed, has: had !== undefined }, asked.get(indexName(found))) })
  }
  const { contributions: shown, hidden } = applyPolicies(stage.policies, project, contributions)
  const counts = countFiles(shown)
  const versions = [...new Set(shown.flatMap(({ snapshot }) => snapshot.versionList))].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ version }) => version)
  return {
    index: indexName(stage),
    project,
    asked: indexes.map(({ found, had, decision: outcome, reason }): WhyIndexJson => {
      const name = indexName(found)
      const [onPage, own] = [counts.get(name) ?? 0, hidden.filter((file) => indexName(file) === name).length]
      const files = had?.snapshot.fileCount ?? 0
      const has = outcome === 'shadowed' ? {} : { files, versions: had?.snapshot.versionList.map(({ version }) => version) ?? [] }
      return { index: name, type: found.value.type, decision: outcome, reason, ...has, shown: onPage, hidden: own, outranked: files - onPage - own }
    }),
    mirrors: { open: decision.isOpen, reason: mirrorsReason(stage, project, decision) },
    sees: { files: [...counts.values()].reduce((sum, count) => sum + count, 0), versions: [...new Set(versions)], newest: versions.at(-1) ?? null },
    hidden: hidden.slice(0, MOST_HIDDEN).map(hiddenFileJson),
    hiddenCount: hidden.length,
    disagreements,
  }
}

/** A hidden file with its rules; one of an index that the caller may not read keeps its name and words for itself. */
export function hiddenFileJson({ basename, version, rules, ...ref }: HiddenFile): HiddenFileJson {
  const lifted = liftedAt(rules)
  return {
    file: basename,
    version,
    index: indexName(ref),
    rules: rules.map(({ option, value, until, policy }) => ({
      option,
      ...(policy.isReadable && { index: indexName(policy), value }),
      ...(until !== undefined && { until: utcTime(until) }),
    })),
    ...(lifted !== undefined && { until: utcTime(lifted) }),
  }
}

async function readContribution({ reader }: OpenStage, { user, index }: IndexInOrder, project: string): Promise<Contribution | undefined> {
  const files = await readProjectFiles(reader, { user, index, project })
  return files && { ref: { user, index }, snapshot: snapshotOf(files) }
}

function outcomeOf(found: IndexInOrder, { isShadowed, has }: { readonly isShadowed: boolean; readonly has: boolean }, state: Freshness | undefined): { readonly decision: WhyDecision; readonly reason: string } {
  const name = indexName(found)
  if (isShadowed) return { decision: 'shadowed', reason: `${name} is a mirror, and its upstream was not asked: the name is private` }
  if (state?.kind === 'failed') return { decision: 'failed', reason: `${state.refusal.message}; ${has ? 'what is stored of it counts' : 'nothing is stored of it'}` }
  if (!has) return { decision: 'absent', reason: found.value.type === 'mirror' ? `the upstream of ${name} does not have it` : `${name} does not have it` }
  const instead = state?.kind === 'fresh' && state.instead !== undefined ? `; ${state.instead} was asked, as the upstream before it fails` : ''
  return { decision: 'shown', reason: `${name} has it${instead}` }
}

function mirrorsReason(stage: OpenStage, project: string, { isOpen, openedBy, privateOn }: MirrorsDecision): string {
  const readable = (found: IndexInOrder): string => (stage.order.includes(found) ? indexName(found) : 'an index that you may not read')
  if (!stage.all.some(({ value }) => value.type === 'mirror')) return 'there is no mirror among the bases'
  if (openedBy !== undefined) return `the whitelist as far as ${readable(openedBy)} opens ${project}`
  if (isOpen) return `no private index has ${project}`
  return `${[...new Set(privateOn.map(readable))].join(' and ')} has ${project}, and no whitelist opens it`
}

function countFiles(shown: readonly Contribution[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { of } of filesShown(shown)) counts.set(indexName(of.ref), (counts.get(indexName(of.ref)) ?? 0) + 1)
  return counts
}
