import type { PollingReplicaJson, PrimaryAddressJson, ReplicaStatusJson } from '#log-format/api/status.js'
import { NO_SERIAL } from '#log-format/serial.js'
import type { Follower } from '#server/replication/follower.js'
import type { ReplicaState } from '#server/replication/replica-table.js'

/** What a replica tells everybody: how far it is, each fact of the primary also under the name it had before. */
export function replicaStatus({ status }: Follower): ReplicaStatusJson {
  const { primaryUuid, primarySerial, state, startedMs, lag } = status
  const serial = primarySerial === NO_SERIAL ? null : primarySerial
  const serialAt = seconds(status.primarySerialMs)
  const contactedAt = seconds(status.contactedMs)
  const updatedAt = seconds(status.updatedMs)
  return {
    'master-uuid': primaryUuid,
    'primary-uuid': primaryUuid,
    'master-serial': serial,
    'primary-serial': serial,
    'master-serial-timestamp': serialAt,
    'primary-serial-timestamp': serialAt,
    'master-contacted-at': contactedAt,
    'primary-contacted-at': contactedAt,
    'update-from-master-at': updatedAt,
    'update-from-primary-at': updatedAt,
    'replica-started-at': startedMs / 1000,
    'replica-metadata-in-sync-at': seconds(status.inSyncMs),
    'replica-state': state,
    'replica-lag-serials': lag.serials,
    'replica-lag-seconds': lag.seconds,
  }
}

/** What is for root: addresses, and errors, which name them. */
export function primaryAddress({ status }: Follower): PrimaryAddressJson {
  return { 'master-url': status.primaryUrl, 'primary-url': status.primaryUrl, 'replica-problem': status.problem ?? null }
}

export function pollingReplica({ address, serial, following, seenMs, outsideUrl }: ReplicaState): PollingReplicaJson {
  return {
    'remote-ip': address,
    serial,
    'in-request': following,
    'is-streaming': following,
    'last-request': seenMs / 1000,
    'outside-url': outsideUrl ?? null,
  }
}

function seconds(ms: number | undefined): number | null {
  return ms === undefined ? null : ms / 1000
}
