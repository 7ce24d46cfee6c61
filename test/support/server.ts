import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServerConfig } from '#server/process/config.js'
import { openLogger } from '#server/process/logger.js'
import type { Surroundings } from '#server/process/parts.js'
import { type RunningServer, startServer as start } from '#server/process/server.js'
import { uploadForm, type UploadInput } from './upload-form.js'

/** A real server in this process, in a temporary folder, on a free port, with cheap password hashes. */
export interface TestServer extends AsyncDisposable {
  readonly url: string
  readonly running: RunningServer
  readonly serverDir: string
  /** The secret that its replicas share. */
  readonly secretFile: string
  /** Lines of its log file so far. */
  readonly log: readonly string[]
  /** Serial of the newest entry. */
  head(): number
  /** A user who is logged in with a token. `indexes`: settings by name. */
  signUp(user: string, indexes?: Readonly<Record<string, object>>): Promise<TestUser>
  /** The superuser. */
  root(): Promise<TestUser>
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Stops it and leaves its folder, for another one to start on. */
  stop(): Promise<void>
}

export interface TestServerOptions extends Partial<Omit<Surroundings, 'logger'>> {
  readonly config?: Partial<ServerConfig>
  /** A folder that outlives the server; a temporary one otherwise. */
  readonly serverDir?: string
}

export const CHEAP_ARGON2 = { memoryCostKib: 8, parallelism: 1, timeCost: 1 }

export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const serverDir = options.serverDir ?? (await mkdtemp(join(tmpdir(), 'devpi-test-')))
  const log: string[] = []
  const running = await start(testConfig({ serverDir, ...options.config }), {
    ...options,
    logger: openLogger({ debug: false, format: 'json', write: (line) => log.push(line) }),
  })
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= Promise.resolve(running[Symbol.asyncDispose]()))
  const fetchFrom = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(running.url + path, { redirect: 'manual', ...init })
  return {
    url: running.url,
    running,
    serverDir,
    secretFile: options.config?.secretFile ?? join(serverDir, '.secret'),
    log,
    head: () => running.storage.head.serial,
    fetch: fetchFrom,
    stop,
    signUp: async (user, indexes = {}) => {
      await expectOk(await fetchFrom(`/${user}`, { method: 'PUT', body: JSON.stringify({ password: `${user} secret` }) }))
      const found = await logIn(fetchFrom, user, `${user} secret`)
      for (const [index, settings] of Object.entries(indexes)) await expectOk(await found.put(`/${user}/${index}`, settings))
      return found
    },
    root: () => logIn(fetchFrom, 'root', ''),
    [Symbol.asyncDispose]: async () => {
      await stop()
      if (options.serverDir === undefined) await rm(serverDir, { recursive: true, force: true })
    },
  }
}

export function testConfig(changes: Partial<ServerConfig>): ServerConfig {
  return {
    debug: false,
    serverDir: '',
    host: '127.0.0.1',
    port: 0,
    outsideUrl: undefined,
    trustedProxies: [],
    metricsFrom: [],
    role: 'auto',
    primaryUrl: undefined,
    fromSnapshot: false,
    fileThreads: 4,
    skippedFiles: { indexes: new Set(), types: new Set() },
    fileSources: [],
    acceptLostSecrets: false,
    peers: [],
    configFile: undefined,
    secretFile: undefined,
    restrictModify: undefined,
    pushHosts: [],
    privateUpstreams: [],
    mirrorExpiryMs: 1_800_000,
    offline: false,
    mirrorCacheBytes: undefined,
    proxies: { except: [] },
    caBundle: undefined,
    maxRequestBodyBytes: 10 * 2 ** 30,
    undoWindowMs: 30 * 24 * 60 * 60 * 1000,
    argon2: CHEAP_ARGON2,
    rootIndex: true,
    rootPassword: '',
    rootPasswordHash: undefined,
    ...changes,
  }
}

/** Requests with a login token. */
export class TestUser {
  readonly name: string
  readonly token: string
  readonly #fetch: TestServer['fetch']

  constructor(fetchFrom: TestServer['fetch'], name: string, token: string) {
    this.#fetch = fetchFrom
    this.name = name
    this.token = token
  }

  /** Value of `X-Devpi-Auth`. */
  get auth(): string {
    return Buffer.from(`${this.name}:${this.token}`).toString('base64')
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return this.#fetch(path, { ...init, headers: { 'X-Devpi-Auth': this.auth, ...init.headers } })
  }
  get(path: string, headers: Record<string, string> = { Accept: 'application/json' }): Promise<Response> {
    return this.fetch(path, { headers })
  }
  put(path: string, body: unknown): Promise<Response> {
    return this.#send('PUT', path, body)
  }
  post(path: string, body: unknown): Promise<Response> {
    return this.#send('POST', path, body)
  }
  patch(path: string, body: unknown): Promise<Response> {
    return this.#send('PATCH', path, body)
  }
  delete(path: string): Promise<Response> {
    return this.fetch(path, { method: 'DELETE', headers: { Accept: 'application/json' } })
  }
  /** Uploads to `{name}/{index}`, or to another user's index named `user/index`. */
  upload(index: string, file: UploadInput): Promise<Response> {
    const path = index.includes('/') ? `/${index}/` : `/${this.name}/${index}/`
    return this.fetch(path, { method: 'POST', body: uploadForm(file) })
  }

  #send(method: string, path: string, body: unknown): Promise<Response> {
    const headers = { Accept: 'application/json', 'Content-Type': 'application/json' }
    return this.fetch(path, { method, headers, body: JSON.stringify(body) })
  }
}

async function logIn(fetchFrom: TestServer['fetch'], user: string, password: string): Promise<TestUser> {
  const reply = await fetchFrom('/+login', { method: 'POST', body: JSON.stringify({ user, password }) })
  await expectOk(reply.clone())
  const { result } = (await reply.json()) as { result: { password: string } }
  return new TestUser(fetchFrom, user, result.password)
}

async function expectOk(reply: Response): Promise<void> {
  if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}: ${await reply.text()}`)
}
