import { setTimeout as pause } from 'node:timers/promises'
import { keys } from '#log-format/keys.js'
import { nextSerial, type Serial, toSerial } from '#log-format/serial.js'
import { CommitSignal } from '#server/storage/commit-signal.js'
import { type PrimaryConnection, refusalIn } from './primary-request.js'
import { readSecretLines } from './secret-lines.js'
import { unlessSilent } from './silence.js'
import type { Storage } from '#server/storage/storage.js'
import type { SecretsSince } from '#server/storage/vault-changes.js'
import type { CommittedEntry } from '#server/storage/writer.js'

export interface VaultFollowerOptions {
  readonly storage: Storage
  /** Asks the primary for what changed behind a serial; rejects when it is not there, or does not want to. */
  readonly fetch: (request: SecretsRequest) => Promise<void>
  /** Told of the first of several attempts that fail in a row. */
  readonly onFault?: (fault: Error) => void
  /** A number from 0 up to 1, so that replicas do not come back all at once. */
  readonly random?: () => number
  readonly retryMs?: number
}

/** First pause after a failure; it doubles with each further one. */
const RETRY_MS = 500
const LONGEST_RETRY_MS = 30_000
/** First pause before a node is asked again that is behind with its own secrets. */
const BEHIND_MS = 20

/** A change of a secret is recorded with one of these keys, or, as a new password is, with none at all. */
const BESIDE_SECRETS: ReadonlySet<string> = new Set([keys.user.family, keys.token.family, keys.index.family])

export interface SecretsRequest {
  /** Entries up to this one changed nothing that is asked for. */
  readonly since: Serial
  /** Takes over what is sent, while it comes. */
  readonly take: (secrets: SecretsSince) => Promise<void>
  readonly signal: AbortSignal
}

/** Asks the primary for secrets. Rejects when nothing of them comes for `silenceMs`, and with what `take` throws. */
export async function fetchSecrets(primary: PrimaryConnection, silenceMs: number, { since, take, signal }: SecretsRequest): Promise<void> {
  const reply = await primary.get(since < 0 ? '/+vault' : `/+vault?since=${since}`, { Accept: 'application/x-ndjson, application/json' }, signal)
  try {
    const pieces = unlessSilent(reply, silenceMs)
    if (reply.statusCode !== 200) throw await refusalIn(reply, pieces)
    await take(await readSecretLines(pieces))
  } finally {
    if (!reply.readableEnded) reply.destroy() // it would keep the connection
  }
}

/** Takes over what another node sends of the secrets behind `since`. */
export async function takeSecrets(storage: Storage, since: Serial, secrets: SecretsSince): Promise<void> {
  // A primary that begins anew, or one behind this node, says all it has.
  if (secrets.serial < since && !secrets.isComplete) throw new Error(`the other node has secrets up to serial ${secrets.serial} only, those here are of ${nextSerial(since)} or later`)
  // Whatever it says: for entries that are not here yet it is asked again.
  await storage.importSecrets({ ...secrets, serial: toSerial(Math.min(secrets.serial, storage.head.serial)) })
}

/** Keeps the vault of a replica that of its primary: asks for secrets when an entry may have changed some. */
export class VaultFollower implements AsyncDisposable {
  readonly #options: VaultFollowerOptions
  readonly #stopping = new AbortController()
  readonly #have: CommitSignal
  /** The newest entry that may have changed a secret. */
  #wanted: Serial
  #wake: () => void = () => undefined
  readonly #listening: Disposable
  readonly #running: Promise<void>

  constructor(options: VaultFollowerOptions) {
    this.#options = options
    const { storage } = options
    this.#have = new CommitSignal(storage.secretsSerial)
    this.#wanted = storage.head.serial
    this.#listening = storage.onCommit((entries) => { this.#committed(entries) })
    this.#running = this.#run()
  }

  /** Resolves when the secrets that entries up to `serial` changed are here; the entries themselves must be here before. */
  async reached(serial: Serial, signal?: AbortSignal): Promise<void> {
    if (this.#options.storage.secretsSerial < serial && this.#wanted > this.#options.storage.secretsSerial) {
      await this.#have.reached(toSerial(Math.min(serial, this.#wanted)), signal)
    }
  }

  /** Asks the primary at once, whatever failed before. Rejects when it does not say, or the signal is aborted. */
  async hurry(signal: AbortSignal): Promise<void> {
    await this.#fetch(AbortSignal.any([signal, this.#stopping.signal]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening[Symbol.dispose]()
    this.#stopping.abort()
    this.#wake()
    await this.#running
  }

  #committed(entries: readonly CommittedEntry[]): void {
    for (const { serial, touched } of entries) {
      if (touched.length > 0 && !touched.some(({ family }) => BESIDE_SECRETS.has(family))) continue
      this.#wanted = serial
      this.#wake()
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    const { storage, onFault, retryMs = RETRY_MS } = this.#options
    let failures = 0
    let behind = 0
    let isFirst = true // what was fetched before the last stop may be older than the entries
    while (!signal.aborted) {
      if (!isFirst && storage.secretsSerial >= this.#wanted) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      try {
        const wanted = this.#wanted
        await this.#fetch(signal)
        isFirst = false
        failures = 0
        // The other node, a replica itself, has the entry and not yet the secrets.
        if (storage.secretsSerial >= wanted) behind = 0
        else await this.#pause(BEHIND_MS * 2 ** Math.min(behind++, 10))
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        if (failures === 1) onFault?.(error instanceof Error ? error : new Error('the secrets could not be fetched', { cause: error }))
        await this.#pause(Math.min(LONGEST_RETRY_MS, retryMs * 2 ** Math.min(failures - 1, 10)))
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    const { random = Math.random } = this.#options
    await pause(ms * (0.5 + random() / 2), undefined, { signal: this.#stopping.signal }).catch(() => undefined)
  }

  async #fetch(signal: AbortSignal): Promise<void> {
    const { storage, fetch } = this.#options
    const since = storage.secretsSerial
    await fetch({ since, take: (secrets) => takeSecrets(storage, since, secrets), signal })
    this.#have.moveTo(storage.secretsSerial)
  }
}
