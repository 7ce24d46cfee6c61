/** The commands that read these options. */
export type Program = 'devpi-server' | 'devpi-init' | 'devpi-fsck' | 'devpi-passwd' | 'devpi-server promote'

export interface Option {
  /** On the command line `--name`, in a configuration file `name`, in the environment `DEVPISERVER_NAME`. */
  readonly name: OptionName
  readonly programs: readonly Program[]
  /** What stands behind the option in the help; a flag has none. */
  readonly argument?: string
  /** May be given more than once. */
  readonly repeatable?: true
  readonly fallback?: string
  readonly help: string
}

export type OptionName =
  | 'configfile' | 'debug' | 'serverdir' | 'host' | 'port' | 'outside-url' | 'trusted-proxy' | 'secretfile'
  | 'restrict-modify' | 'push-host' | 'allow-private-upstream' | 'mirror-cache-expiry' | 'mirror-cache-size' | 'offline-mode' | 'metrics-from' | 'max-request-body-size' | 'undo-window' | 'argon2-memory-cost' | 'argon2-parallelism' | 'argon2-time-cost'
  | 'accept-lost-secrets' | 'role' | 'primary-url' | 'master-url' | 'from-snapshot' | 'file-replication-threads' | 'file-replication-skip-indexes' | 'file-replication-source' | 'peer'
  | 'no-root-pypi' | 'root-passwd' | 'root-passwd-hash'

const PROMOTE: readonly Program[] = ['devpi-server promote']
const ALL: readonly Program[] = ['devpi-server', 'devpi-init', 'devpi-fsck', 'devpi-passwd', 'devpi-server promote']
const SERVER: readonly Program[] = ['devpi-server']
const INIT: readonly Program[] = ['devpi-server', 'devpi-init']
const HASHING: readonly Program[] = ['devpi-server', 'devpi-init', 'devpi-passwd']

export const OPTIONS: readonly Option[] = [
  { name: 'configfile', programs: ALL, argument: 'FILE', help: 'YAML file with options under the key devpi-server (also -c)' },
  { name: 'debug', programs: ALL, help: 'log more' },
  { name: 'serverdir', programs: ALL, argument: 'DIR', fallback: '~/.devpi/server', help: 'where everything is stored' },
  { name: 'host', programs: SERVER, argument: 'HOST', fallback: 'localhost', help: 'name or address to listen on' },
  { name: 'port', programs: SERVER, argument: 'PORT', fallback: '3141', help: 'port to listen on, 0 for any free one' },
  { name: 'outside-url', programs: SERVER, argument: 'URL', help: 'address at which clients see this server, with its path' },
  {
    name: 'trusted-proxy', programs: SERVER, argument: 'ADDRESS', repeatable: true,
    help: 'address or network of a proxy whose forwarding headers are believed; may be repeated',
  },
  { name: 'role', programs: SERVER, argument: 'ROLE', fallback: 'auto', help: 'standalone, primary or replica; auto: what it was, or a replica if --primary-url is given' },
  { name: 'primary-url', programs: SERVER, argument: 'URL', help: 'address of the server that a replica follows' },
  { name: 'master-url', programs: SERVER, argument: 'URL', help: 'older name of --primary-url' },
  {
    name: 'from-snapshot', programs: SERVER,
    help: 'a new replica takes over the database of its primary instead of folding the whole log: faster, and less is checked',
  },
  { name: 'file-replication-threads', programs: SERVER, argument: 'N', fallback: '4', help: 'files that a replica fetches at the same time' },
  {
    name: 'file-replication-skip-indexes', programs: SERVER, argument: 'LIST', fallback: '',
    help: 'files that a replica fetches only when somebody asks for them: all, or names (user/index) and types of indexes, separated by commas',
  },
  {
    name: 'file-replication-source', programs: SERVER, argument: 'URL', repeatable: true,
    help: 'address of another replica, with the same secret, that is asked for files when the primary does not give them; may be repeated',
  },
  { name: 'peer', programs: SERVER, argument: 'URL', repeatable: true, help: 'address of another server of this history, which a primary asks whether one was promoted in its place; may be repeated' },
  { name: 'accept-lost-secrets', programs: PROMOTE, help: 'promote it although new passwords and API tokens, which are named, have not come from the primary' },
  { name: 'secretfile', programs: ['devpi-server', 'devpi-server promote'], argument: 'FILE', help: 'secret that signs login tokens, and by which replicas are known: on those, a copy of their primary\'s' },
  { name: 'restrict-modify', programs: SERVER, argument: 'USERS', help: 'only these users and :groups, separated by commas, may create or change users and indexes' },
  {
    name: 'push-host', programs: SERVER, argument: 'HOST', repeatable: true,
    help: 'name or address in a private network that releases may be pushed to, as they may to public hosts; may be repeated',
  },
  {
    name: 'allow-private-upstream', programs: SERVER, argument: 'HOST', repeatable: true,
    help: 'name or address in a private network that mirrors may fetch pages and files from, as they may from public hosts; may be repeated',
  },
  { name: 'mirror-cache-expiry', programs: SERVER, argument: 'SECONDS', fallback: '1800', help: 'how long the pages of mirrors count as fresh, unless their index says it' },
  { name: 'mirror-cache-size', programs: SERVER, argument: 'BYTES', fallback: '0', help: 'beyond it, files of mirrors that nobody asked for lately are removed; 0 for no limit' },
  { name: 'offline-mode', programs: SERVER, help: 'ask no upstream for anything: of mirrors, only files that are stored here are shown' },
  {
    name: 'metrics-from', programs: SERVER, argument: 'ADDRESS', repeatable: true,
    help: 'address or network that may read /+metrics without logging in, besides this machine; may be repeated',
  },
  { name: 'max-request-body-size', programs: SERVER, argument: 'BYTES', fallback: '10737418240', help: 'larger requests are refused' },
  { name: 'undo-window', programs: SERVER, argument: 'TIME', fallback: '30d', help: 'how long removed files are kept: days, hours (12h), 0 or forever' },
  { name: 'argon2-memory-cost', programs: HASHING, argument: 'KIB', fallback: '19456', help: 'memory of one password hash' },
  { name: 'argon2-parallelism', programs: HASHING, argument: 'N', fallback: '1', help: 'lanes of one password hash' },
  { name: 'argon2-time-cost', programs: HASHING, argument: 'N', fallback: '2', help: 'passes of one password hash' },
  { name: 'no-root-pypi', programs: INIT, help: 'create no root/pypi index in a new serverdir' },
  { name: 'root-passwd', programs: INIT, argument: 'PASSWORD', fallback: '', help: 'password of root in a new serverdir' },
  { name: 'root-passwd-hash', programs: INIT, argument: 'HASH', help: 'the same as an argon2 hash' },
]

/** Options of the reference that are refused by name until they work. */
export const NOT_AVAILABLE: ReadonlySet<string> = new Set([
  'absolute-urls', 'autocreate-users', 'bypass-cdn', 'checksum', 'connection-limit', 'debug-macros',
  'documentation-path', 'export', 'gen-config',
  'hard-links', 'import', 'include-mirrored-files', 'indexer-backend', 'keep-docs-packed', 'keyfs-cache-size', 'listen',
  'log', 'logger-cfg', 'no-checksum', 'no-events', 'no-replica-streaming',
  'passwd', 'profile-requests', 'proxy-timeout', 'pypi-cache-expiry', 'refresh',
  'replica-cert', 'replica-file-search-path', 'replica-max-retries', 'replica-streaming', 'request-timeout', 'requests-only',
  'skip-import-type', 'start', 'status', 'stop', 'storage', 'theme', 'threads', 'trusted-proxy-count',
  'trusted-proxy-headers', 'unix-socket', 'unix-socket-perms',
])

export function findOption(name: string): Option | undefined {
  return OPTIONS.find((option) => option.name === name)
}

export function environmentName(option: string): string {
  return `DEVPISERVER_${option.toUpperCase().replaceAll('-', '_')}`
}

/** Says that an option or key is unknown or not built yet; `shown` is its spelling where it was found. */
export function unknownOption(name: string, shown: string): string {
  if (NOT_AVAILABLE.has(name)) return `${shown} is not available yet`
  const near = OPTIONS.map((option) => ({ option, distance: editDistance(name, option.name) }))
    .filter(({ option, distance }) => distance <= 2 || (name.length > 2 && option.name.startsWith(name)))
    .sort((a, b) => a.distance - b.distance)[0]
  return near === undefined ? `${shown} is unknown` : `${shown} is unknown; did you mean ${near.option.name}?`
}

/** What cannot be seen from the name of a program. */
const ABOUT: { readonly [program in Program]?: readonly string[] } = {
  'devpi-server': ['devpi-server promote makes a primary of a replica; see devpi-server promote --help.'],
  'devpi-server promote': ['Makes a primary of a replica, whether a server runs on its serverdir or not. Stop the primary before, if it still runs: what it\naccepts from now on is lost to the others, and put aside when it comes back as a replica.'],
}

export function helpText(program: Program): string {
  const operand = program === 'devpi-passwd' ? ' USER' : ''
  const rows = OPTIONS.filter((option) => option.programs.includes(program)).map((option) => {
    const usage = option.argument === undefined ? `--${option.name}` : `--${option.name} ${option.argument}`
    const fallback = option.fallback === undefined || option.fallback === '' ? '' : ` [${option.fallback}]`
    return [usage, `${option.help}${fallback}`] as const
  })
  rows.push(['--help', 'print this (also -h)'], ['--version', 'print the version'])
  const width = Math.max(...rows.map(([usage]) => usage.length))
  return [
    `usage: ${program} [options]${operand}`,
    '',
    ...(ABOUT[program] ?? []).flatMap((line) => [line, '']),
    ...rows.map(([usage, help]) => `  ${usage.padEnd(width)}  ${help}`),
    '',
    'An option on the command line wins over DEVPISERVER_{OPTION} in the environment, which wins over the configuration file.',
    'Exit codes: 0 done, 1 fault, 2 wrong usage, 4 bad configuration file.',
    '',
  ].join('\n')
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...b].entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? a.length
}
