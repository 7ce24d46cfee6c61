import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '#test/support/child-server.js'

/**
 * The rows of the contract of the command line (its sections on the surface,
 * the output, the state and the test pipeline), and the tests that hold each: `file: part of the title`. What is on
 * purpose not there says why.
 */
const ROWS: readonly (readonly [row: string, ...tests: string[]])[] = [
  ['1.1 no arguments, -h, CMD -h', 'output: help of all commands, and of one', 'arguments: %j', 'commands: as a process: versions, help, wrong usage'],
  ['1.1 --version anywhere, version', 'commands: as a process: versions, help, wrong usage', 'start-up: the version is told by one file', 'output: a version without a server that answers'],
  ['1.1 wrong usage: 2, usage on stdout, reason on stderr', 'arguments: refused: %j', 'commands: as a process: versions, help, wrong usage'],
  ['1.1 --debug, -y, -v, --clientdir in both positions', 'output: requests and replies are shown with --debug', 'commands: users', 'commands: projects are listed and removed', 'use: the environment names the state'],
  ['1.1 parsing: bundles, prefixes, values, last wins, KEY=VALUE', 'arguments: read: %s'],
  ['1.1 arguments in any order (W39)', 'use: users are changed with and without -m', 'arguments: read: %s'],
  ['1.2 DEVPI_CLIENTDIR, DEVPI_JSON, DEVPI_TIMEOUT, CI, USER', 'use: the environment names the state'],
  ['1.2 DEVPI_USER takes its login along (W54)', 'use: users take turns', 'session: of several users on several servers'],
  ['1.2 DEVPI_PASSWORD, DEVPI_TOKEN', 'commands: the environment logs in without a login', 'own-commands: tokens are created, used'],
  ['1.2 VIRTUAL_ENV, WORKON_HOME', 'installs: of environments the named one wins', 'installer-config: keeps the selection in an active environment'],
  ['1.2 PIP_CONFIG_FILE, UV_CONFIG_FILE, XDG_CONFIG_HOME', 'use: files of pip and uv lie where the environment says'],
  ['1.2 PY_COLORS, NO_COLOR, TERM, FORCE_COLOR', 'output: with %j, terminal %j'],
  ['1.2 proxies', 'client: the proxy of %s with %j', 'client: plain requests go through a proxy', 'client: a certificate is checked'],
  ['1.2 certificates of the environment', 'client: a certificate is checked'],
  ['1.2 .netrc, NETRC', 'netrc: %j is read', 'netrc: %s with %j: %s', 'netrc: a login for the host is sent', 'netrc: a server of ours takes it'],
  ['10.5 --json', 'json: every command is described', 'json: every command prints what is described', 'json: %s that prints %s is at fault'],
  ['1.2.1 the index of one command', 'commands: another index is chosen for one command'],
  ['1.2.1 names of indexes', 'use: an index named %s', 'commands: another index is chosen for one command'],
  ['1.3 0: declined, nothing to log off', 'commands: users', 'use: logins are dropped one by one'],
  ['1.3 1: refused, not there, TLS, version, nothing matched', 'commands: without a server: %s', 'commands: a server that is not there', 'client: a server that speaks another version', 'client: a certificate is checked', 'commands: projects are listed and removed'],
  ['1.3 1 where the reference says 0: refresh, empty folder, test -s', 'installs: a mirror asks its upstream again', 'upload: %s fails', 'release: %s fails'],
  ['1.3 the status of pip', 'installs: the exit code is that of pip'],
  ['1.3 130', 'output: as a process: Ctrl-C ends a wait', 'client: an interruption ends a request', 'upload: an interruption ends the build', 'endings: as a process: %s ends tox too', 'endings: nothing is started after', 'endings: a quickstart that is interrupted'],
  ['1.4.1 quickstart', 'quickstart: a quickstart, and everything it started is stopped', 'quickstart: what would be done, and what cannot be'],
  ['1.4.2 server control', 'quickstart: a quickstart, and everything it started is stopped'],
  ['1.4.3 use: URL, -l, -u, --urls', 'commands: the first steps', 'use: looking at another index', 'use: users take turns', 'use: the page of a user'],
  ['1.4.3 use: --set-cfg, -t, --always-set-cfg', 'installer-config: writes, tells what, keeps the old', 'use: where every use writes them'],
  ['1.4.3 use: --venv, --local, --delete', 'installer-config: writes into a virtual environment', 'installer-config: keeps the selection in an active environment', 'commands: without a server: %s'],
  ['1.4.3 use: certificates and basic auth', 'client: a certificate is checked', 'client: a server that asks for a certificate', 'client: credentials for a proxy in front', 'session: credentials of a proxy'],
  ['1.4.4 getjson, 1.4.5 patchjson', 'commands: documents', 'use: the page of a user'],
  ['1.4.6 list', 'commands: projects are listed and removed', 'output: three groups are listed', 'output: what the commands of failed tests printed'],
  ['1.4.7 remove', 'commands: projects are listed and removed'],
  ['1.4.8 user, 1.4.9 passwd', 'commands: users', 'commands: passwords that are wrong', 'use: users are changed with and without -m', 'use: logins are dropped one by one'],
  ['1.4.10 login, logoff, logout', 'line-reader: of the hidden keys', 'commands: passwords that are wrong', 'use: logins are dropped one by one', 'client: a login goes to its own server alone'],
  ['1.4.11 index', 'commands: indexes', 'use: users are changed with and without -m', 'golden: the session of the reference client'],
  ['1.4.12 upload: files, folders, --only-latest, --dry-run', 'upload: files that are named', 'upload: documentation goes after its release', 'upload: %s fails'],
  ['1.4.12 upload: attestations', 'attestations: attestations are sent', 'attestations: a server that takes none', 'attestations: %.30s is no attestation'],
  ['1.4.12 upload: building', 'upload: from below the top of a repository', 'upload: out of a Mercurial repository', 'upload: out of a submodule', 'docs: what lies in dist stays', 'docs: %j asks for %j', 'upload: a build that fails', 'output: own files are bold'],
  ['1.4.12 upload: documentation', 'docs: with the release', 'docs: alone, of a release', 'upload: documentation in a tar'],
  ['1.4.12 upload: --watch', 'watch: a watched folder', 'watch: a proxy that stays'],
  ['1.4.13 test', 'tox-runs: %s', 'tox-runs: %s with %j fails', 'tox-runs: of several releases', 'tox-runs: a report that is refused'],
  ['1.4.14 push', 'push: push %s of a server with %j', 'release: a release is pushed', 'release: %s fails', 'release: sections of a pypirc'],
  ['1.4.15 install', 'installs: %s', 'installs: uv gets the index', 'release: pip installs, with its own exit code'],
  ['1.4.16 refresh', 'installs: a mirror asks its upstream again'],
  ['1.4.17 plugins: none, passwords come from options, the environment, keyrings, .netrc and prompts', 'stored-passwords: a password is taken out of the keyring', 'stored-passwords: a keyring that %s is passed over', 'stored-passwords: that of another server'],
  ['2.1 streams, colour', 'endings: as a process: %s %s ends when its reader', 'endings: as a process: a result that cannot be written', 'output: own files are bold', 'output: with %j, terminal %j', 'output: as a process: Ctrl-C ends a wait'],
  ['2.1 echo of commands without secrets', 'installs: pip gets the index', 'release: a release is tested', 'quickstart: what would be done'],
  ['2.2 errors', 'client: what answers with %s', 'system-faults: a fault with', 'commands: indexes', 'commands: a server that is not there', 'commands: a login that the server has ended', 'output: %s', 'golden: the session of the reference client'],
  ['2.3 confirmation', 'commands: users', 'commands: projects are listed and removed', 'use: the environment names the state'],
  ['2.4 use', 'commands: the first steps', 'use: an index that is closed or gone', 'installer-config: writes, tells what, keeps the old', 'output: %s'],
  ['2.5 use -l', 'commands: the first steps'],
  ['2.6 user, passwd', 'commands: users', 'commands: passwords that are wrong'],
  ['2.7 login, logoff', 'commands: the first steps', 'use: logins are dropped one by one'],
  ['2.8 index', 'commands: the first steps', 'commands: indexes'],
  ['2.9 list', 'release: verdicts', 'output: own files are bold', 'output: what the commands of failed tests printed', 'tox-runs: the newest version is tested'],
  ['2.10 remove', 'commands: projects are listed and removed', 'golden: the session of the reference client'],
  ['2.11 upload', 'upload: from below the top of a repository', 'upload: a refusal says why', 'upload: one bad file', 'upload: settings that cannot be meant: %j'],
  ['2.12 test', 'tox-runs: the newest version is tested', 'tox-runs: %s with %j fails', 'release: a release is tested'],
  ['2.13 push', 'release: a release is pushed', 'release: %s fails'],
  ['2.14 install', 'installs: pip gets the index', 'installs: %s with %j fails'],
  ['2.15 refresh', 'installs: a mirror asks its upstream again', 'release: %s fails'],
  ['2.16 getjson -v', 'commands: documents'],
  ['2.17 booleans', 'commands: the first steps', 'golden: the session of the reference client'],
  ['2.18 bars', 'output: a bar is drawn in a terminal of any width'],
  ['2.19 version', 'commands: as a process: versions, help, wrong usage', 'output: a version without a server that answers'],
  ['3.1 files of the state', 'session: the files are those of the reference client', 'session: another client finds what was written', 'session: a file that holds %j', 'session: changes at the same time', 'session: an active environment'],
  ['3.2 logins', 'session: of several users on several servers', 'session: logins that older clients kept', 'session: credentials of a proxy'],
  ['3.3 files of installers', 'installer-config: INI with %s', 'installer-config: TOML %j', 'installer-config: a list in %j: %s', 'installer-config: writes, tells what, keeps the old'],
  ['3.4 .pypirc', 'release: sections of a pypirc'],
  ['6.1 the highest version, 6.2 which files', 'tox-runs: the newest version is tested', 'tox-runs: %s'],
  ['6.3 digests', 'client: what is not what the index announces'],
  ['6.4 unpacking', 'release: nothing is unpacked outside'],
  ['6.5 settings of tox', 'tox-runs: %s', 'tox-runs: settings of tox in other files', 'tox-runs: %s with %j fails'],
  ['6.6 which tox, 6.7 its words', 'tox-runs: the newest version is tested', 'tox-runs: %s', 'release: words of %j'],
  ['6.8 its environment, no secret in the report', 'tox-runs: the newest version is tested'],
  ['6.9 the report', 'tox-runs: %s with %j fails', 'tox-runs: a report that is refused'],
  ['6.10 several at once', 'tox-runs: of several releases', 'tox-runs: with --jobs releases'],
]

test.each(ROWS)('%s', (_row, ...tests) => {
  for (const name of tests) {
    const [, file = '', title = ''] = /^([a-z-]+): (.*)$/s.exec(name) ?? []
    const text = readFileSync(join(ROOT, 'test/cli', `${file}.test.ts`), 'utf8')
    const titles = [...text.matchAll(/['"`]([^'"`\n]*)['"`], (?:async )?\(/g)].map(([, found = '']) => found)
    expect([name, titles.some((found) => (title === '%s' ? found === title : found.startsWith(title)))]).toEqual([name, true])
  }
})

test('no row is named twice', () => {
  expect(new Set(ROWS.map(([row]) => row)).size).toBe(ROWS.length)
})
