import { BlockList, isIP } from 'node:net'
import { join } from 'node:path'
import type { PasswordCosts } from '#server/auth/passwords.js'
import type { SkippedIndexes } from '#server/replication/skip-indexes.js'
import type { ProxySettings } from '#server/upstream/proxies.js'
import { parseCommandLine } from './command-line.js'
import { parseConfigFile, type FileOptions } from './config-file.js'
import { caBundleIn, proxiesIn } from './network-environment.js'
import { absolute, OptionValues, splitList } from './option-values.js'
import { environmentName, findOption, helpText, type Program, unknownOption } from './options.js'
import type { AskedRole } from './role.js'
import { UsageError } from './usage-error.js'

export interface ServerConfig {
  readonly debug: boolean
  readonly serverDir: string
  readonly host: string
  /** 0 asks for any free port. */
  readonly port: number
  /** Without a slash at its end. */
  readonly outsideUrl: string | undefined
  /** Addresses and networks (`10.0.0.0/8`). */
  readonly trustedProxies: readonly string[]
  /** Addresses and networks that see the metrics without logging in. */
  readonly metricsFrom: readonly string[]
  readonly role: AskedRole
  /** Without a slash at its end. */
  readonly primaryUrl: string | undefined
  /** Whether a new replica begins with a snapshot of its primary. */
  readonly fromSnapshot: boolean
  /** Files that a replica fetches at the same time. */
  readonly fileThreads: number
  /** Indexes of which a replica fetches files only when somebody asks for them. */
  readonly skippedFiles: SkippedIndexes
  /** Addresses of further nodes that a replica asks for files. */
  readonly fileSources: readonly string[]
  /** For a promotion: whether secrets that have not come from the primary are given up. */
  readonly acceptLostSecrets: boolean
  /** Other nodes of this history. */
  readonly peers: readonly string[]
  /** Where options were read from besides. */
  readonly configFile: string | undefined
  readonly secretFile: string | undefined
  /** Who alone may create or change users and indexes; undefined where everybody may. */
  readonly restrictModify: readonly string[] | undefined
  readonly maxRequestBodyBytes: number
  /** Hosts of private networks to which releases may be pushed, in lower case. */
  readonly pushHosts: readonly string[]
  /** Hosts of private networks that mirrors may fetch from, in lower case. */
  readonly privateUpstreams: readonly string[]
  /** How long the pages of mirrors are fresh, where their index does not say. */
  readonly mirrorExpiryMs: number
  /** Upstreams are not asked for anything. */
  readonly offline: boolean
  /** What files of mirrors may take on the disk; undefined: anything. */
  readonly mirrorCacheBytes: number | undefined
  /** Through which upstreams are asked. */
  readonly proxies: ProxySettings
  /** A file of PEM certificates. */
  readonly caBundle: string | undefined
  /** How long a file is kept after its removal; `Infinity`: for ever. */
  readonly undoWindowMs: number
  readonly argon2: { readonly memoryCostKib: number; readonly parallelism: number; readonly timeCost: number }
  /** For a new serverdir only. */
  readonly rootIndex: boolean
  readonly rootPassword: string
  readonly rootPasswordHash: string | undefined
}

export type Invocation =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | { readonly kind: 'run'; readonly config: ServerConfig; readonly operands: readonly string[] }

export interface ConfigSources {
  readonly program: Program
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** The text of a file, undefined where there is none. */
  readonly readFile: (path: string) => string | undefined
}

/** Command line, then environment, then configuration file, then default. Throws `UsageError`, which has the exit code. */
export function readConfig(sources: ConfigSources): Invocation {
  const line = parseCommandLine(sources.argv, sources.program)
  if (line.help) return { kind: 'help', text: helpText(sources.program) }
  if (line.version) return { kind: 'version' }
  const environment = readEnvironment(sources.env)
  const file = readConfigFile(sources, line.given.get('configfile')?.[0] ?? environment.get('configfile')?.[0])
  const values = new OptionValues(sources.env, [
    { given: line.given, place: (name) => `--${name}` },
    { given: environment, place: environmentName },
    { given: file, place: (name) => `${name} in the configuration file` },
  ])
  return { kind: 'run', config: typedConfig(values, sources.env), operands: line.operands }
}

/** Only this machine can reach an address like this. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  const version = isIP(address)
  if (version === 0) return address === 'localhost'
  return LOOPBACK.check(address, version === 4 ? 'ipv4' : 'ipv6')
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

function typedConfig(values: OptionValues, env: ConfigSources['env']): ServerConfig {
  const parallelism = values.integer('argon2-parallelism', 1, 255)
  return {
    debug: values.flag('debug'),
    serverDir: values.path('serverdir') ?? '',
    host: values.text('host') ?? '',
    port: values.integer('port', 0, 65535),
    outsideUrl: values.url('outside-url'),
    trustedProxies: values.networks('trusted-proxy'),
    metricsFrom: values.networks('metrics-from'),
    role: values.role('role'),
    primaryUrl: values.oneUrl('primary-url', 'master-url'),
    fromSnapshot: values.flag('from-snapshot'),
    fileThreads: values.integer('file-replication-threads', 1, 64),
    skippedFiles: values.skippedIndexes('file-replication-skip-indexes'),
    fileSources: values.urls('file-replication-source'),
    acceptLostSecrets: values.flag('accept-lost-secrets'),
    peers: values.urls('peer'),
    configFile: values.path('configfile'),
    secretFile: values.path('secretfile'),
    restrictModify: values.names('restrict-modify'),
    pushHosts: values.hosts('push-host'),
    privateUpstreams: values.hosts('allow-private-upstream'),
    mirrorExpiryMs: values.integer('mirror-cache-expiry', 0, 10 ** 9) * 1000,
    offline: values.flag('offline-mode'),
    mirrorCacheBytes: values.integer('mirror-cache-size', 0, Number.MAX_SAFE_INTEGER) || undefined,
    proxies: proxiesIn(env),
    caBundle: caBundleIn(env),
    maxRequestBodyBytes: values.integer('max-request-body-size', 1, Number.MAX_SAFE_INTEGER),
    undoWindowMs: values.duration('undo-window'),
    argon2: {
      // RFC 9106, 3.1: at least 8 KiB a lane.
      memoryCostKib: values.integer('argon2-memory-cost', 8 * parallelism, 2 ** 32 - 1),
      parallelism,
      timeCost: values.integer('argon2-time-cost', 1, 2 ** 32 - 1),
    },
    rootIndex: !values.flag('no-root-pypi'),
    rootPassword: values.text('root-passwd') ?? '',
    rootPasswordHash: values.text('root-passwd-hash'),
  }
}

/** An empty value counts as not set. `DEVPI_SERVERDIR`, the older name, wins over the newer one. */
function readEnvironment(env: ConfigSources['env']): FileOptions {
  const given = new Map<string, readonly string[]>()
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('DEVPISERVER_') || value === undefined || value === '') continue
    const name = variable.slice('DEVPISERVER_'.length).toLowerCase().replaceAll('_', '-')
    const option = findOption(name)
    if (option === undefined) throw new UsageError(`${unknownOption(name, variable)} (in the environment)`)
    given.set(name, option.repeatable === true ? splitList(value) : [value])
  }
  const older = env['DEVPI_SERVERDIR']
  if (older !== undefined && older !== '') given.set('serverdir', [older])
  return given
}

function readConfigFile({ env, readFile }: ConfigSources, named: string | undefined): FileOptions {
  if (named !== undefined) {
    const file = absolute(named, env)
    const text = readFile(file)
    if (text === undefined) throw new UsageError(`there is no configuration file ${file}`, 4)
    return parseConfigFile(text, file)
  }
  const home = env['XDG_CONFIG_HOME'] ?? absolute('~/.config', env)
  for (const folder of [home, '/etc/xdg']) {
    const file = join(folder, 'devpi-server/devpi-server.yml')
    const text = readFile(file)
    if (text !== undefined) return parseConfigFile(text, file)
  }
  return new Map()
}

/** What hashing a password costs. */
export function hashingCosts({ argon2 }: ServerConfig): PasswordCosts {
  return { memoryKib: argon2.memoryCostKib, iterations: argon2.timeCost, parallelism: argon2.parallelism, concurrency: 2 }
}
