import type { Random } from '#test/support/random.js'

export const DAY = 86_400_000
export const PROJECTS = ['lib-a', 'lib-b', 'lib-c'] as const
export const VERSIONS = ['1.0', '2.0', '3.0'] as const

export interface ModelFile {
  readonly owner: string
  readonly project: string
  readonly version: string
  readonly basename: string
  /** ms since the epoch, for policies. */
  readonly entered: number
}

/** A policy by what it means, not by how it is written. */
export interface ModelPolicy {
  readonly ageDays: number | undefined
  readonly freeze: number | undefined
  /** Only versions below that number. */
  readonly below: ReadonlyMap<string, number>
  readonly denied: ReadonlySet<string>
  readonly deniedVersions: ReadonlySet<string>
  readonly deniesRest: boolean
  readonly exempt: readonly { readonly project: string; readonly version: string; readonly until: number }[]
}

export interface ModelIndex {
  readonly name: string
  readonly isMirror: boolean
  bases: readonly string[]
  whitelist: readonly string[]
  inheritance: 'union' | 'intersection'
  policy: ModelPolicy
  /** By `project/basename`. */
  files: ReadonlyMap<string, ModelFile>
  /** Projects that it has, on a mirror those that somebody was let ask for. */
  projects: ReadonlySet<string>
}

/** What was there at a serial; policies are always those of now. */
export interface Past {
  readonly serial: number
  readonly indexes: ReadonlyMap<string, Omit<ModelIndex, 'policy'>>
}

type World = ReadonlyMap<string, Omit<ModelIndex, 'policy'>>

/** What is shown, as plainly as can be. */
export class PolicyModel {
  readonly indexes = new Map<string, ModelIndex>()
  readonly pasts: Past[] = []

  index(name: string): ModelIndex {
    const found = this.indexes.get(name)
    if (found === undefined) throw new Error(`the model has no ${name}`)
    return found
  }

  remember(serial: number): void {
    this.pasts.push({ serial, indexes: new Map([...this.indexes].map(([name, index]) => [name, { ...index }])) })
  }

  /** The index, then its bases breadth-first, mirrors last. */
  order(start: string, world: World = this.indexes): string[] {
    const queue = [start]
    for (const name of queue) for (const base of world.get(name)?.bases ?? []) if (!queue.includes(base)) queue.push(base)
    return [...queue.filter((name) => world.get(name)?.isMirror === false), ...queue.filter((name) => world.get(name)?.isMirror === true)]
  }

  mirrorsAdd(start: string, project: string, world: World = this.indexes): boolean {
    const union = world.get(start)?.inheritance === 'union'
    const stages = this.order(start, world).map((name) => world.get(name)).filter((index) => index?.isMirror === false)
    const lists = stages.map((index) => index?.whitelist.some((item) => item === project || item === '*') ?? false)
    // As far as any index of the order, all of them name it, or with union one of them does.
    const all = lists.map((_, at) => stages.slice(0, at + 1))
    const isOpened = union ? lists.some(Boolean) : all.some((some) => some.every((index) => index?.whitelist.includes(project)) || some.every((index) => index?.whitelist.includes('*')))
    return isOpened || !stages.some((index) => index?.projects.has(project))
  }

  /** Whether what `through` decides holds for files of `owner` on pages of `start`. */
  #covers(start: string, through: string, owner: string, world: World): boolean {
    if (owner === start) return through === start
    const reached = [through]
    for (const name of reached) for (const base of world.get(name)?.bases ?? []) if (!reached.includes(base)) reached.push(base)
    return reached.includes(owner)
  }

  /** The files on a page, and how many are kept from it; undefined for no page at all. */
  page(start: string, project: string, now: number, past?: Past): { readonly shown: readonly ModelFile[]; readonly hidden: number } | undefined {
    const world: World = past?.indexes ?? this.indexes
    const order = this.order(start, world)
    const adding = order.filter((name) => world.get(name)?.isMirror === false || this.mirrorsAdd(start, project, world))
    if (!adding.some((name) => world.get(name)?.projects.has(project))) return undefined
    const shown: ModelFile[] = []
    const taken = new Set<string>()
    let hidden = 0
    for (const owner of adding) {
      for (const file of world.get(owner)?.files.values() ?? []) {
        if (file.project !== project || taken.has(file.basename)) continue
        taken.add(file.basename)
        if (order.some((name) => this.#covers(start, name, owner, world) && hides(this.index(name).policy, file, now))) hidden += 1
        else shown.push(file)
      }
    }
    return { shown, hidden }
  }

  /** Whether a file is given out at its own address. */
  mayFetch(file: ModelFile, now: number): boolean {
    return !hides(this.index(file.owner).policy, file, now)
  }
}

export function hides(policy: ModelPolicy, { project, version, entered }: ModelFile, now: number): boolean {
  if (policy.exempt.some((one) => one.project === project && one.version === version && now < one.until)) return false
  if (policy.ageDays !== undefined && now - entered < policy.ageDays * DAY) return true
  if (policy.freeze !== undefined && entered > policy.freeze) return true
  const below = policy.below.get(project)
  if (policy.denied.has(project) || policy.deniedVersions.has(`${project}==${version}`)) return true
  return below === undefined ? policy.deniesRest : Number.parseInt(version, 10) >= below
}

export const NO_POLICY: ModelPolicy = { ageDays: undefined, freeze: undefined, below: new Map(), denied: new Set(), deniedVersions: new Set(), deniesRest: false, exempt: [] }

export function randomPolicy(random: Random, now: number): ModelPolicy {
  const sometimes = (of: number): boolean => random.below(of) === 0
  if (sometimes(3)) return NO_POLICY
  return {
    ageDays: sometimes(3) ? random.below(5) : undefined,
    freeze: sometimes(5) ? now - random.below(5) * DAY : undefined,
    below: new Map(PROJECTS.filter(() => sometimes(4)).map((project) => [project, 1 + random.below(4)])),
    denied: new Set(PROJECTS.filter(() => sometimes(6))),
    deniedVersions: new Set(PROJECTS.filter(() => sometimes(4)).map((project) => `${project}==${random.pick(VERSIONS)}`)),
    deniesRest: sometimes(6),
    exempt: PROJECTS.filter(() => sometimes(4)).map((project) => ({ project, version: random.pick(VERSIONS), until: now + (random.below(6) - 1) * DAY })),
  }
}

/** As it is written in settings, null for what is not there. */
export function settingsFor(policy: ModelPolicy): object {
  const { ageDays, freeze, below, denied, deniedVersions, deniesRest, exempt } = policy
  return {
    min_release_age: ageDays === undefined ? null : `${ageDays * 24}h`,
    freeze_at: freeze === undefined ? null : new Date(freeze).toISOString(),
    constraints: [...[...below].map(([project, end]) => `${project.replace('-', '_')}<${end}`), ...[...denied].map((project) => `!${project}`), ...[...deniedVersions].map((one) => `!${one}`), ...(deniesRest ? ['!*'] : [])],
    policy_exemptions: exempt.map(({ project, version, until }) => `${project}==${version} until ${new Date(until).toISOString()} because of a test`),
  }
}
