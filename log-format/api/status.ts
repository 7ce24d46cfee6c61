/** Name, type and value, as monitoring of the reference reads them. */
export type StatusMetric = readonly [string, 'counter' | 'gauge', number]

/** `status`. Times are seconds since the epoch. */
export interface StatusJson extends Partial<Omit<MachineJson, 'polling_replicas'>>, Partial<ReplicaStatusJson>, Partial<FileReplicationJson> {
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
  /** Grows with each promotion. */
  readonly epoch: number
  /** Why nothing can be changed here, where another server was promoted. */
  readonly fenced?: string
  /** By uuid; empty but for root. */
  readonly polling_replicas: Readonly<Record<string, PollingReplicaJson>>
}

/** Where the server lives: for root alone. */
export interface MachineJson extends Partial<PrimaryAddressJson> {
  readonly serverdir: string
  readonly 'server-code': string
  readonly host: string
  readonly port: number
  readonly 'outside-url': string | null
  readonly polling_replicas: Readonly<Record<string, PollingReplicaJson>>
  /** Entries that this server had accepted and its new primary does not have, in files of the folder `set-aside`. */
  readonly 'set-aside': readonly { readonly file: string; readonly from: number; readonly to: number }[]
}

/** Of a replica: whether it has the files, too. */
export interface FileReplicationJson {
  /** When it last had all of them, or all but those that it leaves out; null if it never had since it started. */
  readonly 'replica-files-in-sync-at': number | null
  /** Why none is fetched now; for root alone. */
  readonly 'replica-files-paused'?: string | null
  /** By path, up to 1,000 files that could not be had so far; for others than root it is empty. */
  readonly 'replication-errors': Readonly<Record<string, { readonly url: string; readonly message: string; readonly relpath: string }>>
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

/** What a replica adds; null for what never was. What is said of the primary is there under an older name, too. */
export interface ReplicaStatusJson {
  /** Empty before the first contact. */
  readonly 'primary-uuid': string
  readonly 'master-uuid': string
  /** The newest that the primary told of. */
  readonly 'primary-serial': number | null
  readonly 'master-serial': number | null
  readonly 'primary-serial-timestamp': number | null
  readonly 'master-serial-timestamp': number | null
  readonly 'primary-contacted-at': number | null
  readonly 'master-contacted-at': number | null
  readonly 'update-from-primary-at': number | null
  readonly 'update-from-master-at': number | null
  readonly 'replica-started-at': number
  /** When it last had every entry of the primary. */
  readonly 'replica-metadata-in-sync-at': number | null
  /** `stopped`: the primary's log cannot be followed any further, whatever is tried. */
  readonly 'replica-state': 'connecting' | 'following' | 'stopped'
  readonly 'replica-lag-serials': number
  readonly 'replica-lag-seconds': number
}

/** Of a replica, for root alone. */
export interface PrimaryAddressJson {
  readonly 'primary-url': string
  readonly 'master-url': string
  /** Why it does not follow. */
  readonly 'replica-problem': string | null
}
