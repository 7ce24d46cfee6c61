/** Name, type and value, as monitoring of the reference reads them. */
export type StatusMetric = readonly [string, 'counter' | 'gauge', number]

/** `status`. Times are seconds since the epoch. */
export interface StatusJson extends Partial<MachineJson> {
  readonly uuid: string
  readonly versioninfo: Readonly<Record<string, string>>
  /** A server without replicas is a master, too. */
  readonly role: 'MASTER' | 'REPLICA'
  readonly serial: number
  readonly 'last-commit-timestamp': number
  readonly 'event-serial': number
  readonly 'event-serial-timestamp': number
  readonly 'event-serial-in-sync-at': number
  readonly metrics: readonly StatusMetric[]
  /** By uuid; empty but for root. */
  readonly polling_replicas: Readonly<Record<string, object>>
}

/** Where the server lives: for root alone. */
export interface MachineJson {
  readonly serverdir: string
  readonly 'server-code': string
  readonly host: string
  readonly port: number
  readonly 'outside-url': string | null
}
