/** Name, type and value, as monitoring of the reference reads them. */
export type StatusMetric = readonly [string, 'counter' | 'gauge', number]

/** `status`. Times are seconds since the epoch. */
export interface StatusJson extends Partial<Omit<MachineJson, 'polling_replicas'>> {
  readonly uuid: string
  readonly versioninfo: Readonly<Record<string, string>>
  /** A server without replicas is a master, too. */
  readonly role: 'MASTER' | 'REPLICA'
  readonly serial: number
  /** Of the newest entry, in hex digits: two nodes that have another one at the same serial have another history. */
  readonly digest: string
  readonly 'last-commit-timestamp': number
  readonly 'event-serial': number
  readonly 'event-serial-timestamp': number
  readonly 'event-serial-in-sync-at': number
  readonly metrics: readonly StatusMetric[]
  /** By uuid; empty but for root. */
  readonly polling_replicas: Readonly<Record<string, PollingReplicaJson>>
}

/** Where the server lives: for root alone. */
export interface MachineJson {
  readonly serverdir: string
  readonly 'server-code': string
  readonly host: string
  readonly port: number
  readonly 'outside-url': string | null
  readonly polling_replicas: Readonly<Record<string, PollingReplicaJson>>
}

/** A replica that follows this server, or did since it started. */
export interface PollingReplicaJson {
  readonly 'remote-ip': string
  /** The newest entry that it has or was sent. */
  readonly serial: number
  /** Whether it follows now. */
  readonly 'in-request': boolean
  readonly 'is-streaming': boolean
  readonly 'last-request': number
  readonly 'outside-url': string | null
}
