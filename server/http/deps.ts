import type { IncomingMessage } from 'node:http'
import type { Origin } from '#log-format/entry.js'
import type { Authenticator } from '#server/auth/identify.js'
import type { NodeTokens } from '#server/auth/node-token.js'
import { type AccessPolicy, actorOf, type Caller } from '#server/auth/caller.js'
import type { PasswordHasher } from '#server/auth/passwords.js'
import type { DiskBlobs } from '#server/storage/disk-blobs.js'
import type { FetchedFiles } from '#server/stages/fetched-files.js'
import type { OtherPlaces } from '#server/stages/other-places.js'
import type { WheelTails } from '#server/stages/wheel-tails.js'
import type { MirrorNames } from '#server/stages/mirror-names.js'
import type { MirrorRefresher } from '#server/stages/refresh-mirror.js'
import type { MirrorsOfPrimary } from '#server/replication/mirrors-of-primary.js'
import type { BlobFetches } from '#server/replication/blob-fetches.js'
import type { Feed } from '#server/replication/feed.js'
import type { Follower } from '#server/replication/follower.js'
import type { ReplicaTable } from '#server/replication/replica-table.js'
import type { IsStored } from '#server/stages/stored-only.js'
import type { Storage } from '#server/storage/storage.js'
import type { FileDownloads } from '#server/upstream/file-download.js'
import type { TargetHosts } from '#server/upstream/target-hosts.js'
import type { DocsArchives } from './docs-archives.js'
import type { FileReplication } from './file-replication-status.js'
import type { ChangeStreams } from './change-streams.js'
import type { HotFiles } from './hot-files.js'
import type { Metrics } from './metrics.js'
import type { TrustedProxies } from './peers.js'
import type { ProjectPages } from './project-pages.js'
import type { PublicFiles } from './public-files.js'
import type { Relay } from './relay.js'
import type { NodeIdentity } from './respond.js'
import type { SmallFileCache } from './small-file-cache.js'
import type { UploadTurns } from './upload-turns.js'
import type { OutsideUrl } from './urls.js'
import type { UsedBlobs } from './used-blobs.js'

export interface BodyLimits {
  /** Of an upload, in bytes. */
  readonly maxUploadBytes: number
  /** A client that sends or takes nothing for this long is cut off. */
  readonly idleTimeoutMs: number
  /** How long somebody waits for metadata while the file is fetched that has it. */
  readonly metadataWaitMs: number
}

/** What `+status` tells of the process. */
export interface ProcessFacts {
  readonly serverdir: string
  /** Folder of the program. */
  readonly serverCode: string
  readonly host: string
  readonly port: number
  readonly outsideUrl: string | undefined
}

/** A fault on its way into the log file. */
export type ReportFault = (error: unknown, context: { readonly faultId: string; readonly request: string; readonly url: string }) => void

/** What routes receive: the parts of the server, and its clock and chance. */
export interface Deps {
  readonly storage: Storage
  readonly blobs: DiskBlobs
  readonly authenticator: Authenticator
  readonly hasher: PasswordHasher
  /** By which replicas are known. */
  readonly nodeTokens: NodeTokens
  readonly pages: ProjectPages
  readonly files: PublicFiles
  readonly uploadTurns: UploadTurns
  readonly smallFiles: SmallFileCache
  readonly hotFiles: HotFiles
  readonly docs: DocsArchives
  readonly outsideUrl: (request: IncomingMessage) => OutsideUrl
  readonly proxies: TrustedProxies
  readonly node: NodeIdentity
  readonly streams: ChangeStreams
  /** The log, for who follows it. */
  readonly feed: Feed
  readonly replicas: ReplicaTable
  /** Undefined where entries are made. */
  readonly follower: Follower | undefined
  /** Takes what would change something, where that is done elsewhere; undefined where it is done here. */
  readonly relay: Relay | undefined
  /** Called when another node turns out to be the primary. */
  readonly onFenced: () => void
  readonly metrics: Metrics
  /** Whether a request may see the metrics without credentials. */
  readonly isMonitor: (request: IncomingMessage) => boolean
  /** Who may manage users and indexes. */
  readonly policy: AccessPolicy
  readonly limits: BodyLimits
  /** Where releases may be sent. */
  readonly targetHosts: TargetHosts
  readonly mirrors: MirrorRefresher
  /** Given while upstreams may not be asked: of mirrors only these files count. */
  readonly isStored: IsStored | undefined
  readonly mirrorNames: MirrorNames
  readonly downloads: FileDownloads
  readonly fetchedFiles: FetchedFiles
  readonly otherPlaces: OtherPlaces
  readonly wheelTails: WheelTails
  /** On a replica: where it asks for what mirrors have. */
  readonly primaryMirrors?: MirrorsOfPrimary | undefined
  /** Where files of mirrors have to make room for others. */
  readonly usedBlobs: UsedBlobs | undefined
  /** On a replica: where contents come from that are not here yet. */
  readonly fetches?: BlobFetches
  readonly fileReplication?: FileReplication
  readonly facts: () => ProcessFacts
  /** ms since the epoch. */
  readonly now: () => number
  /** Names a request in the log and the log file; unique enough to find it. */
  readonly newRequestId: () => string
  readonly reportFault: ReportFault
}

/** What the log will say of where a change came from. */
export function originOf(deps: Deps, caller: Caller, requestId: string): Origin {
  return { time: deps.now(), actor: actorOf(caller), via: caller.via, request: requestId }
}
