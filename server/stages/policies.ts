import { createHash } from 'node:crypto'
import { indexName, type IndexRef } from '#server/commands/lookups.js'
import { hasPolicy, type Judge, type JudgedFile, liftedAt, policyOn, type PolicySettings, type Rule } from '#server/packaging/release-policy.js'
import { compareProjectVersions, type ProjectFile, type ProjectVersion } from './project-files.js'
import type { FileRun, ProjectSnapshot } from './live-project.js'
import type { IndexInOrder } from './resolution-order.js'

/*
 * Release policies as a stage inherits them. The policy of an index holds for
 * what the index has itself and for all that it gets through its bases, on the
 * pages of every index that has it among its bases, however far away.
 */

/** The policy of one index of a stage. */
export interface StagePolicy extends IndexRef {
  readonly settings: PolicySettings
  /** Names of the indexes whose files it holds for. */
  readonly covers: ReadonlySet<string>
  /** Whether the caller may know of it. */
  readonly isReadable: boolean
}

/** The policies of a stage that has any, at one moment. */
export interface StagePolicies {
  /** ms since the epoch. */
  readonly now: number
  readonly list: readonly StagePolicy[]
}

/** An index of a resolution order with the settings that decide now, and whether the caller may read it. */
export interface JudgedIndex {
  readonly found: IndexInOrder
  readonly settings: PolicySettings
  readonly isReadable: boolean
}

/**
 * Undefined for a stage without policies. `order` is all of its resolution
 * order, the index asked for first. What that one has itself, nobody's policy
 * but its own holds for, be it a base of its bases: its files have the same
 * fate on its pages and at their own addresses.
 */
export function stagePolicies(start: IndexRef, order: readonly JudgedIndex[], now: number): StagePolicies | undefined {
  const having = order.filter(({ settings }) => hasPolicy(settings))
  if (having.length === 0) return undefined
  const basesOf = new Map(order.map(({ found }) => [indexName(found), found.value.type === 'stage' ? found.value.bases : []]))
  const list = having.map(({ found, settings, isReadable }) => {
    const { user, index } = found
    const covers = new Set([indexName(found)])
    for (const name of covers) for (const base of basesOf.get(name) ?? []) covers.add(base)
    if (indexName(found) !== indexName(start)) covers.delete(indexName(start))
    return { user, index, settings, covers, isReadable }
  })
  return { now, list }
}

/** The policies of a stage if the index itself had these settings instead of its own. */
export function policiesWith(stage: IndexRef & { readonly all: readonly IndexInOrder[]; readonly policies: StagePolicies | undefined }, settings: PolicySettings, now: number): StagePolicies | undefined {
  const { user, index, all, policies } = stage
  const others = (policies?.list ?? []).filter((policy) => indexName(policy) !== indexName(stage))
  const own = hasPolicy(settings) ? [{ user, index, settings, covers: new Set(all.map(indexName)), isReadable: true }] : []
  const list = [...own, ...others]
  return list.length === 0 ? undefined : { now, list }
}

/** A rule that hides a file, and whose it is. */
export interface AppliedRule extends Rule {
  readonly policy: StagePolicy
}

/** What all policies of a stage say of the files that one of its indexes has of a project. */
export type StageJudge = (file: JudgedFile) => StageVerdict

export interface StageVerdict {
  /** Empty for a file that is shown. */
  readonly rules: readonly AppliedRule[]
  /** Until when the clock leaves this as it is, ms since the epoch. */
  readonly next: number
}

/** Undefined where none of them concerns the project on that index. */
export function judgeOn(policies: StagePolicies | undefined, owner: IndexRef, project: string): StageJudge | undefined {
  if (policies === undefined) return undefined
  const name = indexName(owner)
  const judges: { readonly policy: StagePolicy; readonly judge: Judge }[] = []
  for (const policy of policies.list) {
    const judge = policy.covers.has(name) ? policyOn(policy.settings, project) : undefined
    if (judge !== undefined) judges.push({ policy, judge })
  }
  if (judges.length === 0) return undefined
  return (file) => {
    const rules: AppliedRule[] = []
    let next = Infinity
    for (const { policy, judge } of judges) {
      const verdict = judge(file, policies.now)
      next = Math.min(next, verdict.next)
      for (const rule of verdict.hiddenBy) rules.push({ ...rule, policy })
    }
    return { rules, next }
  }
}

/** What one index adds to a page. */
export interface Contribution {
  readonly ref: IndexRef
  readonly snapshot: ProjectSnapshot
}

export interface HiddenFile extends IndexRef {
  readonly basename: string
  readonly version: string
  readonly rules: readonly AppliedRule[]
}

/** The parts of a page after the policies of its stage. */
export interface ShownParts {
  readonly contributions: readonly Contribution[]
  readonly hidden: readonly HiddenFile[]
  /** Until when the clock leaves this as it is, ms since the epoch. */
  readonly until: number
  /** Tells apart what is hidden of equal contents; empty where the stage has no policy. */
  readonly key: string
}

/**
 * Takes off a page what policies hide: the one place where they decide what it
 * has. `contributions` in resolution order; of a hidden file no index behind
 * shows its own of that name.
 */
export function applyPolicies(policies: StagePolicies | undefined, project: string, contributions: readonly Contribution[]): ShownParts {
  if (policies === undefined) return { contributions, hidden: [], until: Infinity, key: '' }
  const hidden: HiddenFile[] = []
  const taken = new Set<string>()
  const leftOut = new Set<string>()
  let until = Infinity
  const shown = contributions.map((contribution) => {
    const { ref, snapshot } = contribution
    const judge = judgeOn(policies, ref, project)
    for (const file of filesOf(snapshot)) {
      if (judge === undefined || taken.has(file.basename)) continue
      const { rules, next } = judge(file)
      until = Math.min(until, next)
      if (rules.length === 0) continue
      leftOut.add(file.basename)
      hidden.push({ ...ref, basename: file.basename, version: file.version, rules })
    }
    for (const { basename } of filesOf(snapshot)) taken.add(basename)
    return judge === undefined && leftOut.size === 0 ? contribution : { ref, snapshot: without(leftOut, snapshot, judge) }
  })
  return { contributions: shown, hidden, until, key: keyOf(shown, leftOut) }
}

/** `hidden=3`, and when the next of them is shown, if time alone lifts it; undefined where nothing is hidden. */
export function policyHeader({ hidden }: Pick<ShownParts, 'hidden'>): string | undefined {
  if (hidden.length === 0) return undefined
  const lifts = hidden.reduce((first, { rules }) => Math.min(first, liftedAt(rules) ?? Infinity), Infinity)
  return `hidden=${hidden.length}${lifts === Infinity ? '' : `, lifts=${new Date(lifts).toISOString()}`}`
}

/** A version goes with its last file; one that never had any goes where a policy hides it whenever it came. */
function without(leftOut: ReadonlySet<string>, snapshot: ProjectSnapshot, judge: StageJudge | undefined): ProjectSnapshot {
  const [had, left] = [new Set<string>(), new Set<string>()]
  const runs: FileRun[] = []
  let fileCount = 0
  for (const run of snapshot.runs) {
    const files: ProjectFile[] = []
    for (const file of run.files) {
      had.add(file.version)
      if (leftOut.has(file.basename)) continue
      left.add(file.version)
      files.push(file)
    }
    fileCount += files.length
    if (files.length === run.files.length) runs.push(run)
    else if (files.length > 0) runs.push({ files, rendered: new Map() })
  }
  const stays = ({ version }: ProjectVersion): boolean => (had.has(version) ? left.has(version) : judge === undefined || judge({ version, entered: -Infinity }).rules.length === 0)
  const versions = new Map([...snapshot.versions].filter(([, version]) => stays(version)))
  return { runs, fileCount, versions, versionList: [...versions.values()].sort(compareProjectVersions) }
}

function* filesOf({ runs }: ProjectSnapshot): Generator<ProjectFile> {
  for (const { files } of runs) yield* files
}

function keyOf(contributions: readonly Contribution[], leftOut: ReadonlySet<string>): string {
  const hash = createHash('sha256')
  for (const basename of leftOut) hash.update(`\0${basename}`)
  for (const { ref, snapshot } of contributions) {
    hash.update(`\0\0${indexName(ref)}`)
    for (const { version } of snapshot.versionList) hash.update(`\0${version}`)
  }
  return hash.digest('base64url')
}
