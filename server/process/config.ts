import { BlockList, isIP } from 'node:net'
import { join, resolve } from 'node:path'
import type { ProxySettings } from '#server/upstream/proxies.js'
import { Refusal } from '#log-format/api/refusal.js'
import { parseSkippedIndexes, type SkippedIndexes } from '#server/replication/skip-indexes.js'
import { parseConfigFile, type FileOptions } from './config-file.js'
import { environmentName, findOption, helpText, unknownOption, OPTIONS, type OptionName, type Program } from './options.js'
import { caBundleIn, proxiesIn } from './network-environment.js'
import { type AskedRole, ROLES } from './role.js'
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
  /** Files that a replica fetches at the same time. */
  readonly fileThreads: number
  /** Indexes of which a replica fetches files only when somebody asks for them. */
  readonly skippedFiles: SkippedIndexes
  /** Addresses of further nodes that a replica asks for files. */
  readonly fileSources: readonly string[]
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
    fileThreads: values.integer('file-replication-threads', 1, 64),
    skippedFiles: values.skippedIndexes('file-replication-skip-indexes'),
    fileSources: values.urls('file-replication-source'),
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

interface CommandLine {
  readonly help: boolean
  readonly version: boolean
  readonly given: FileOptions
  readonly operands: readonly string[]
}

function parseCommandLine(argv: readonly string[], program: Program): CommandLine {
  const given = new Map<string, string[]>()
  const operands: string[] = []
  const words = argv.map((word) => (word === '-c' ? '--configfile' : word === '-h' ? '--help' : word))
  if (words.includes('--help')) return { help: true, version: false, given, operands }
  if (words.includes('--version')) return { help: false, version: true, given, operands }
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (!word.startsWith('-')) {
      operands.push(word)
      continue
    }
    const { name, inline } = splitWord(word)
    const option = findOption(name)
    if (option === undefined) throw new UsageError(`${unknownOption(name, word.split('=')[0] ?? word)}; see ${program} --help`)
    if (!option.programs.includes(program)) throw new UsageError(`--${name} is not an option of ${program}`)
    if (option.argument === undefined && inline !== undefined) throw new UsageError(`--${name} takes no value`)
    const value = option.argument === undefined ? 'true' : (inline ?? words.shift())
    if (value === undefined) throw new UsageError(`--${name} wants a value: ${option.argument ?? ''}`)
    given.set(name, option.repeatable === true ? [...(given.get(name) ?? []), value] : [value])
  }
  const [surplus] = program === 'devpi-passwd' ? operands.slice(1) : operands
  if (surplus !== undefined) throw new UsageError(`${program} takes no argument ${surplus}; see ${program} --help`)
  return { help: false, version: false, given, operands }
}

function splitWord(word: string): { readonly name: string; readonly inline: string | undefined } {
  const at = word.indexOf('=')
  return { name: (at < 0 ? word : word.slice(0, at)).replace(/^--/, ''), inline: at < 0 ? undefined : word.slice(at + 1) }
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

interface Source {
  readonly given: FileOptions
  /** How a complaint names the option of this source. */
  readonly place: (name: string) => string
}

/** The winning text of each option, converted to its type or refused in the words of where it was written. */
class OptionValues {
  readonly #env: ConfigSources['env']
  readonly #sources: readonly Source[]

  constructor(env: ConfigSources['env'], sources: readonly Source[]) {
    this.#env = env
    this.#sources = sources
  }

  text(name: OptionName): string | undefined {
    return this.#find(name).texts[0]
  }

  path(name: OptionName): string | undefined {
    const { texts, place } = this.#find(name)
    const [text] = texts
    if (text === '') throw new UsageError(`${place} wants a path, and got an empty one`)
    return text === undefined ? undefined : absolute(text, this.#env)
  }

  integer(name: OptionName, min: number, max: number): number {
    const { texts, place } = this.#find(name)
    const text = texts[0] ?? ''
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    if (value >= min && value <= max) return value
    throw new UsageError(`${place} wants a whole number from ${min} to ${max}, not '${text}'`)
  }

  /** In ms: `30d`, `12h`, `0`, or `forever`, which is `Infinity`. */
  duration(name: OptionName): number {
    const { texts, place } = this.#find(name)
    const text = (texts[0] ?? '').toLowerCase()
    if (text === 'forever') return Infinity
    const [, count, unit] = /^(\d{1,6})([dh])$/.exec(text) ?? []
    if (count !== undefined) return Number(count) * (unit === 'd' ? 24 : 1) * 60 * 60 * 1000
    if (text === '0') return 0
    throw new UsageError(`${place} wants a number of days or hours such as 30d or 12h, 0 or forever, not '${texts[0] ?? ''}'`)
  }

  flag(name: OptionName): boolean {
    const { texts, place } = this.#find(name)
    const text = (texts[0] ?? 'no').toLowerCase()
    if (['y', 'yes', 't', 'true', 'on', '1'].includes(text)) return true
    if (['n', 'no', 'f', 'false', 'off', '0'].includes(text)) return false
    throw new UsageError(`${place} wants yes or no, not '${text}'`)
  }

  url(name: OptionName): string | undefined {
    return this.urls(name)[0]
  }

  urls(name: OptionName): readonly string[] {
    const { texts, place } = this.#find(name)
    return texts.map((text) => plainUrl(text, place))
  }

  skippedIndexes(name: OptionName): SkippedIndexes {
    const { texts, place } = this.#find(name)
    try {
      return parseSkippedIndexes(texts[0] ?? '')
    } catch (error) {
      throw error instanceof Refusal ? new UsageError(`${place}: ${error.message}`) : error
    }
  }

  /** Given under either name. */
  oneUrl(name: OptionName, olderName: OptionName): string | undefined {
    const url = this.url(name)
    const older = this.url(olderName)
    if (url !== undefined && older !== undefined) throw new UsageError(`${this.#find(name).place} and ${this.#find(olderName).place} are the same, give one of them`)
    return url ?? older
  }

  role(name: OptionName): AskedRole {
    const { texts, place } = this.#find(name)
    const text = texts[0] ?? ''
    if (text === 'auto') return text
    const role = text === 'master' ? 'primary' : ROLES.find((one) => one === text)
    if (role === undefined) throw new UsageError(`${place} wants auto, ${ROLES.join(', ')}, not '${text}'`)
    return role
  }

  names(name: OptionName): readonly string[] | undefined {
    const { texts, place } = this.#find(name)
    const [text] = texts
    if (text === undefined) return undefined
    const names = splitList(text)
    if (names.length === 0) throw new UsageError(`${place} wants at least one name`)
    const noGroup = names.find((each) => each.startsWith(':') && !/^:[^:]+$/.test(each))
    if (noGroup !== undefined) throw new UsageError(`${place} wants names of users, and of groups as :group, not ${noGroup}`)
    return names
  }

  hosts(name: OptionName): readonly string[] {
    const { texts, place } = this.#find(name)
    for (const text of texts) {
      if (!/^[\w.:-]+$/.test(text) || text.includes('://')) throw new UsageError(`${place} wants the name or address of a host, not '${text}'`)
    }
    return texts.map((text) => text.toLowerCase())
  }

  networks(name: OptionName): readonly string[] {
    const { texts, place } = this.#find(name)
    for (const text of texts) {
      if (!isNetwork(text)) throw new UsageError(`${place} wants an address or network such as 10.0.0.0/8, not '${text}'`)
    }
    return texts
  }

  #find(name: OptionName): { readonly texts: readonly string[]; readonly place: string } {
    for (const { given, place } of this.#sources) {
      const texts = given.get(name)
      if (texts !== undefined) return { texts, place: place(name) }
    }
    const fallback = OPTIONS.find((option) => option.name === name)?.fallback
    return { texts: fallback === undefined ? [] : [fallback], place: `--${name}` }
  }
}

/** Without a slash at its end. */
function plainUrl(text: string, place: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain = url !== undefined && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
  if (!plain) throw new UsageError(`${place} wants an http or https address without query, not '${text}'`)
  return text.replace(/\/+$/, '')
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
}

function splitList(text: string): string[] {
  return text.split(',').map((part) => part.trim()).filter((part) => part !== '')
}

function absolute(path: string, env: ConfigSources['env']): string {
  return resolve(path.replace(/^~(?=$|\/)/, env['HOME'] ?? '.'))
}
