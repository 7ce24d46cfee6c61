/** A rule that hides a file. `index` and `value` are left out of one that the reader may not see. Times are ISO 8601 in UTC. */
export interface HidingRuleJson {
  readonly option: 'min_release_age' | 'freeze_at' | 'constraints'
  readonly index?: string
  readonly value?: string
  /** When time alone lifts it; absent for never. */
  readonly until?: string
}

export interface HiddenFileJson {
  readonly file: string
  readonly version: string
  /** `user/index` that has it. */
  readonly index: string
  readonly rules: readonly HidingRuleJson[]
  /** When it is shown, if time alone lifts all rules. */
  readonly until?: string
}

/** What became of one index of the resolution order. */
export type WhyDecision = 'shown' | 'absent' | 'shadowed' | 'failed'

/** `shown`: what it has is on the page as far as policies and names admit it. `failed`: its upstream could not be asked, and what is stored of it counts. */
export interface WhyIndexJson {
  readonly index: string
  readonly type: 'stage' | 'mirror'
  readonly decision: WhyDecision
  /** One sentence. */
  readonly reason: string
  /** What it has, whether it is shown or not; not known of a mirror that was not asked. */
  readonly files?: number
  readonly versions?: readonly string[]
  /** How much of it is on the page, is hidden, and has a name that an index before it took. */
  readonly shown: number
  readonly hidden: number
  readonly outranked: number
}

/** A file of a mirror of which upstreams state different digests. The one that was stated first stands, and no other content is served. */
export interface DisagreementJson {
  readonly file: string
  readonly version: string
  /** `user/index` of the mirror. */
  readonly index: string
  /** Which stands. */
  readonly sha256: string
  readonly others: readonly { readonly upstream: string; readonly sha256: string }[]
}

/** `why`: how the page of a project comes about. */
export interface WhyJson {
  readonly index: string
  readonly project: string
  /** In resolution order, as far as the reader may read them. */
  readonly asked: readonly WhyIndexJson[]
  /** Whether mirrors may add to it, and what decided that. */
  readonly mirrors: { readonly open: boolean; readonly reason: string }
  /** What an installer is shown. */
  readonly sees: { readonly files: number; readonly versions: readonly string[]; readonly newest: string | null }
  /** The first of them, and how many there are. */
  readonly hidden: readonly HiddenFileJson[]
  readonly hiddenCount: number
  /** The first of them. */
  readonly disagreements: readonly DisagreementJson[]
}

/** What a policy would do to the page of one project. */
export interface SimulatedProjectJson {
  readonly project: string
  /** Files on the page now. */
  readonly files: number
  /** How many of them would be hidden, and how many hidden ones would be shown. */
  readonly hides: number
  readonly shows: number
  readonly newest: { readonly now: string | null; readonly then: string | null }
  /** The first of those that would be hidden. */
  readonly hidden: readonly HiddenFileJson[]
}

/** `policysimulation`: projects that a policy would change. */
export interface PolicySimulationJson {
  readonly projects: readonly SimulatedProjectJson[]
  /** Of this reply: projects and files looked at, and files that would be hidden. */
  readonly looked: { readonly projects: number; readonly files: number; readonly hides: number }
  /** `after` of the request that goes on from here; null when that was all. */
  readonly next: string | null
}
