import type { Serial } from '#log-format/serial.js'
import { RecentMap } from '#server/auth/recent-map.js'

/** What is known of a replica that follows this server. */
export interface ReplicaState {
  readonly address: string
  /** Address at which its own clients see it, as it says. */
  readonly outsideUrl: string | undefined
  /** The newest entry that it had, or that was sent to it since. */
  serial: Serial
  /** Whether it follows right now. */
  following: boolean
  /** When it asked or was sent something, in ms since the epoch. */
  seenMs: number
}

/** More than anybody runs; those not heard of for longest are forgotten. */
const MOST_REPLICAS = 1024

/** Who follows, by uuid. In memory only: who still follows says so again within seconds of a restart. */
export class ReplicaTable {
  readonly #states = new RecentMap<ReplicaState>(MOST_REPLICAS)

  set(node: string, state: ReplicaState): void {
    this.#states.set(node, state)
  }

  get(node: string): ReplicaState | undefined {
    return this.#states.get(node)
  }

  /** In the order in which they were last heard of. */
  all(): readonly (readonly [string, ReplicaState])[] {
    return this.#states.all()
  }

  /** How many follow right now. */
  get following(): number {
    return this.all().filter(([, { following }]) => following).length
  }
}
