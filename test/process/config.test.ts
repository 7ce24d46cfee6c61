import fc from 'fast-check'
import { isLoopback, readConfig, type ConfigSources, type ServerConfig } from '#server/process/config.js'
import { NOT_AVAILABLE } from '#server/process/options.js'
import { UsageError } from '#server/process/usage-error.js'

// Names, precedence and file form: spec/server-mirror-replica.md 5.1 and 5.2.
const DAY_MS = 24 * 60 * 60 * 1000
const USER_FILE = '/home/ann/.config/devpi-server/devpi-server.yml'

test('everything has a default', () => {
  expect(configOf({})).toEqual({
    debug: false,
    serverDir: '/home/ann/.devpi/server',
    host: 'localhost',
    port: 3141,
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
    undoWindowMs: 30 * DAY_MS,
    argon2: { memoryCostKib: 19456, parallelism: 1, timeCost: 2 },
    rootIndex: true,
    rootPassword: '',
    rootPasswordHash: undefined,
  })
})

test.each<[string, Given, Partial<ServerConfig>]>([
  ['a value behind', { argv: ['--port', '4000'] }, { port: 4000 }],
  ['a value after =', { argv: ['--host=::1', '--port=0'] }, { host: '::1', port: 0 }],
  ['the last one wins', { argv: ['--port', '1', '--port', '2'] }, { port: 2 }],
  ['a list', { argv: ['--trusted-proxy', '10.0.0.0/8', '--trusted-proxy', '::1'] }, { trustedProxies: ['10.0.0.0/8', '::1'] }],
  ['a flag', { argv: ['--debug', '--no-root-pypi'] }, { debug: true, rootIndex: false }],
  ['days', { argv: ['--undo-window', '7d'] }, { undoWindowMs: 7 * DAY_MS }],
  ['hours', { argv: ['--undo-window', '12H'] }, { undoWindowMs: DAY_MS / 2 }],
  ['no time', { argv: ['--undo-window', '0'] }, { undoWindowMs: 0 }],
  ['all time', { argv: ['--undo-window', 'forever'] }, { undoWindowMs: Infinity }],
  ['networks that see the metrics', { argv: ['--metrics-from=10.0.0.0/8', '--metrics-from', '::1'] }, { metricsFrom: ['10.0.0.0/8', '::1'] }],
  ['the slash of an address', { argv: ['--outside-url', 'https://x.example/pkg/'] }, { outsideUrl: 'https://x.example/pkg' }],
  ['a role', { argv: ['--role', 'replica', '--primary-url', 'https://x/pkg/'] }, { role: 'replica', primaryUrl: 'https://x/pkg' }],
  ['files left out', { argv: ['--file-replication-skip-indexes', 'root/pypi, stage'] }, { skippedFiles: { indexes: new Set(['root/pypi']), types: new Set(['stage']) } }],
  ['all files left out', { argv: ['--file-replication-skip-indexes=all', '--file-replication-threads=1'] }, { skippedFiles: 'all', fileThreads: 1 }],
  ['other replicas', { argv: ['--file-replication-source=http://a/', '--file-replication-source', 'https://b/x'] }, { fileSources: ['http://a', 'https://b/x'] }],
  ['older names', { argv: ['--role', 'master'], env: { DEVPISERVER_MASTER_URL: 'http://x' } }, { role: 'primary', primaryUrl: 'http://x' }],
  ['the environment', { env: { DEVPISERVER_PORT: '4001', DEVPISERVER_NO_ROOT_PYPI: 'On' } }, { port: 4001, rootIndex: false }],
  ['an empty variable', { env: { DEVPISERVER_PORT: '' } }, { port: 3141 }],
  ['a list in a variable', { env: { DEVPISERVER_TRUSTED_PROXY: '::1, 10.1.2.3' } }, { trustedProxies: ['::1', '10.1.2.3'] }],
  ['the older variable wins', { env: { DEVPISERVER_SERVERDIR: '/new', DEVPI_SERVERDIR: '/old' } }, { serverDir: '/old' }],
  ['the file', { files: { [USER_FILE]: 'devpi-server:\n  port: 4002\n  restrict-modify: ann,:admins\n' } }, { port: 4002, restrictModify: ['ann', ':admins'] }],
  ['a named file', { argv: ['-c', '/x.yml'], files: { '/x.yml': 'devpi-server:\n  trusted-proxy: [::1]\n', [USER_FILE]: 'bad: [' } }, { trustedProxies: ['::1'] }],
  ['the system file', { files: { '/etc/xdg/devpi-server/devpi-server.yml': 'devpi-server: {port: 9}' } }, { port: 9 }],
  ['an empty file', { files: { [USER_FILE]: '' } }, { port: 3141 }],
  ['an empty section', { files: { [USER_FILE]: 'devpi-server:\nother: 1\n' } }, { port: 3141 }],
  ['line over environment', { argv: ['--port', '1'], env: { DEVPISERVER_PORT: '2' } }, { port: 1 }],
  ['environment over file', { env: { DEVPISERVER_PORT: '2' }, files: { [USER_FILE]: 'devpi-server:\n  port: 3\n' } }, { port: 2 }],
])('read: %s', (_name, given, wanted) => {
  expect(configOf(given)).toMatchObject(wanted)
})

test.each<[Given, string, 2 | 4]>([
  [{ argv: ['--serverdir', ''] }, '--serverdir wants a path', 2],
  [{ argv: ['--prot', '1'] }, '--prot is unknown; did you mean port?', 2],
  [{ argv: ['--server', '1'] }, '--server is unknown; did you mean serverdir?', 2],
  [{ argv: ['--zzzzzz'] }, '--zzzzzz is unknown; see', 2],
  [{ argv: ['-x'] }, '-x is unknown', 2],
  [{ argv: ['--role=boss'] }, "--role wants auto, standalone, primary, replica, not 'boss'", 2],
  [{ argv: ['--primary-url', 'http://root:secret@x'] }, '--primary-url wants an http or https address', 2],
  [{ argv: ['--master-url', 'http://root@x'] }, '--master-url wants an http or https address', 2],
  [{ argv: ['--primary-url', 'http://x', '--master-url', 'http://x'] }, '--primary-url and --master-url are the same', 2],
  [{ argv: ['--threads=5'] }, '--threads is not available yet', 2],
  [{ argv: ['--port'] }, '--port wants a value: PORT', 2],
  [{ argv: ['--port', '65536'] }, "--port wants a whole number from 0 to 65535, not '65536'", 2],
  [{ argv: ['--port', '1e3'] }, "not '1e3'", 2],
  [{ argv: ['--port', '-1'] }, "not '-1'", 2],
  [{ argv: ['--debug=yes'] }, '--debug takes no value', 2],
  [{ argv: ['stray'] }, 'devpi-server takes no argument stray', 2],
  [{ argv: ['--outside-url', 'ftp://x'] }, '--outside-url wants an http or https address', 2],
  [{ argv: ['--outside-url', 'http://x/?a=b'] }, 'without query', 2],
  [{ argv: ['--trusted-proxy', '10.0.0.0/33'] }, "not '10.0.0.0/33'", 2],
  [{ argv: ['--trusted-proxy', '*'] }, "not '*'", 2],
  [{ argv: ['--undo-window', '30'] }, "--undo-window wants a number of days or hours such as 30d or 12h, 0 or forever, not '30'", 2],
  [{ argv: ['--undo-window', '-1d'] }, "not '-1d'", 2],
  [{ argv: ['--undo-window', '1.5d'] }, "not '1.5d'", 2],
  [{ env: { DEVPISERVER_UNDO_WINDOW: 'never' } }, 'DEVPISERVER_UNDO_WINDOW wants a number of days', 2],
  [{ argv: ['--restrict-modify', ','] }, 'at least one name', 2],
  [{ argv: ['--restrict-modify', 'ann,:AUTHENTICATED:'] }, 'wants names of users, and of groups as :group, not :AUTHENTICATED:', 2],
  [{ argv: ['--restrict-modify', ':'] }, 'not :', 2],
  [{ argv: ['--argon2-memory-cost', '15', '--argon2-parallelism', '2'] }, 'from 16 to', 2],
  [{ env: { DEVPISERVER_PORT: 'x' } }, 'DEVPISERVER_PORT wants a whole number', 2],
  [{ env: { DEVPISERVER_DEBUG: 'maybe' } }, "DEVPISERVER_DEBUG wants yes or no, not 'maybe'", 2],
  [{ env: { DEVPISERVER_THREADS: '4' } }, 'DEVPISERVER_THREADS is not available yet', 2],
  [{ argv: ['--file-replication-skip-indexes', 'all,root/pypi'] }, '--file-replication-skip-indexes: all leaves nothing', 2],
  [{ argv: ['--file-replication-skip-indexes', 'pypi'] }, '--file-replication-skip-indexes: pypi is neither all', 2],
  [{ argv: ['--file-replication-threads', '0'] }, '--file-replication-threads wants a whole number from 1 to 64', 2],
  [{ argv: ['--peer', 'host'] }, '--peer wants an http or https address', 2],
  [{ argv: ['--file-replication-source', 'host'] }, '--file-replication-source wants an http or https address', 2],
  [{ argv: ['-c', '/none.yml'] }, 'there is no configuration file /none.yml', 4],
  [{ files: { [USER_FILE]: 'a: [' } }, 'is not valid YAML', 4],
  [{ files: { [USER_FILE]: '- 1' } }, 'must be a mapping', 4],
  [{ files: { [USER_FILE]: 'devpi-server: [port]' } }, 'must be a mapping of options', 4],
  [{ files: { [USER_FILE]: 'devpi-server:\n  hots: x' } }, `hots is unknown; did you mean host? (in ${USER_FILE})`, 4],
  [{ files: { [USER_FILE]: 'devpi-server:\n  theme: x' } }, 'theme is not available yet', 4],
  [{ files: { [USER_FILE]: 'devpi-server:\n  port: [1, 2]' } }, 'port in /home/ann', 4],
])('refused: %j', (given, message, exitCode) => {
  const error = refusalOf(given)
  expect(error.message).toContain(message)
  expect(error.exitCode).toBe(exitCode)
})

test.each([...NOT_AVAILABLE])('--%s of the reference is refused by name', (name) => {
  expect(refusalOf({ argv: [`--${name}`] }).message).toMatch(`--${name} is not available yet`)
})

test('a command refuses the options of another', () => {
  expect(() => readConfig({ ...sourcesOf({ argv: ['--port', '1'] }), program: 'devpi-fsck' })).toThrow('--port is not an option of devpi-fsck')
})

test('devpi-passwd takes a user', () => {
  expect(readConfig({ ...sourcesOf({ argv: ['ann'] }), program: 'devpi-passwd' })).toMatchObject({ operands: ['ann'] })
})

test('help names every option with its default, and the exit codes', () => {
  const found = readConfig(sourcesOf({ argv: ['--port', 'x', '-h'] }))
  expect(found).toMatchObject({ kind: 'help', text: expect.stringMatching(/--port PORT +port .*\[3141\][^]*Exit codes/) })
  expect(readConfig(sourcesOf({ argv: ['--version'] }))).toEqual({ kind: 'version' })
})

test('any words are either read or refused', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.constantFrom('--port', '--host', '-c', '--debug=', '--trusted-proxy')), { maxLength: 4 }), (argv) => {
      try {
        readConfig(sourcesOf({ argv }))
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError)
      }
    }),
  )
})

test.each([
  ['localhost', true], ['LOCALHOST', true], ['127.0.0.1', true], ['127.9.8.7', true], ['::1', true], ['[::1]', true],
  ['0.0.0.0', false], ['::', false], ['10.0.0.1', false], ['localhost.example', false], ['', false], ['128.0.0.1', false],
])('isLoopback(%j) is %s', (host, wanted) => {
  expect(isLoopback(host)).toBe(wanted)
})

interface Given {
  readonly argv?: readonly string[]
  readonly env?: Record<string, string>
  readonly files?: Record<string, string>
}

function sourcesOf({ argv = [], env = {}, files = {} }: Given): ConfigSources {
  return { program: 'devpi-server', argv, env: { HOME: '/home/ann', ...env }, readFile: (path) => files[path] }
}

function configOf(given: Given): ServerConfig {
  const found = readConfig(sourcesOf(given))
  if (found.kind !== 'run') throw new Error(`found ${found.kind}`)
  return found.config
}

function refusalOf(given: Given): UsageError {
  try {
    readConfig(sourcesOf(given))
  } catch (error) {
    if (error instanceof UsageError) return error
    throw error
  }
  throw new Error('was not refused')
}
