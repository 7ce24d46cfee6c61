import { both, indexHas, isCurrent, isImportable, leavesNothingBehind, releaseHas, releaseIsGone, wasBuilt } from './effects.js'
import type { Check, Row } from './row.js'

/** What the project is built into, and how the tests are run. */
export interface Release {
  /** In the order in which they are built, uploaded and listed. */
  readonly files: readonly string[]
  /** Of row 8. */
  readonly test: string
}

/** No file of an installer is there. */
export const NOT_CONFIGURED = ['~/.pydistutils.cfg{space}: no config file exists', '~/{path}/pip.conf{space}: no config file exists', '~/.buildout/default.cfg: no config file exists', 'always-set-cfg: no']
/** No row but the one about a missing .pypirc prints any of these. */
const NEVER = ['Traceback{text}', '{text}at file:///{text}']

export function using(index: string): string[] {
  return [`current devpi index: {B}/testuser/${index} (logged in as testuser)`, ...NOT_CONFIGURED]
}

/** The configuration of an index, as `devpi index` shows it. */
export function configuration(index: string, { bases, volatile }: { readonly bases: string; readonly volatile: boolean }): string[] {
  return [`{B}/testuser/${index}:`, '  type=stage', `  bases=${bases}`, `  volatile=${volatile ? 'True' : 'False'}`, '  acl_upload=testuser', '  mirror_whitelist=']
}

/** The rows 2 to 20 of the table, which are the same however the first index came to be. */
export function releaseRows(release: Release): Row[] {
  return [...firstRows(), ...buildRows(release), ...pushRows(release), ...inheritRows(release)]
}

/** Files are known by their names; the same `+f` address wherever one is listed. */
function href(index: string, file: string): string {
  return `{B}/testuser/${index}/+f/{fh:${file}}/${file}`
}

/** The lines of `devpi list example`. */
function listed({ files }: Release, index: string): string[] {
  return files.flatMap((file) => [href(index, file), '{text} linux{space}py3{space}{version} tests passed'])
}

function row(id: string, command: string, check: Omit<Check, 'id'>, { at = 'project', exit = 0 }: Partial<Pick<Row, 'at' | 'exit'>> = {}): Row {
  return { command, at, exit, checks: [{ ...check, id, never: [...NEVER, ...(check.never ?? [])] }] }
}

function firstRows(): Row[] {
  return [
    row('2', 'devpi --version', { lines: ['{text}{version}'] }, { at: 'home' }),
    row('3', 'devpi install pytest', {
      lines: ['-->{space}{home}$ {venv}/bin/pip install -U pytest{space}[PIP_INDEX_URL=http://****:****@localhost:{port}/testuser/dev/+simple/,PIP_PRE=1,PIP_USE_WHEEL=1]', 'Looking in indexes: http://testuser:****@localhost:{port}/testuser/dev/+simple/', 'Successfully installed {text}pytest-{text}'],
      effect: isImportable('pytest'),
    }, { at: 'home' }),
    row('4', 'py.test --version', { lines: ['pytest {version}'] }, { at: 'home' }),
    row('5', 'devpi use', { lines: using('dev'), effect: isCurrent('testuser/dev') }),
  ]
}

function buildRows(release: Release): Row[] {
  const { files, test } = release
  return [
    row('6', 'devpi upload', {
      lines: [
        'using workdir {tmp}/{path}',
        'copied repo {repo}/.git to {tmp}/{path}/.git',
        'pre-build: cleaning {text}dist',
        '-->{space}{tmp}/{path}/example$ {venv}/bin/{path} -m build {text}',
        ...files.map((file) => `built: dist/${file} {number}kb`),
        'register example-1.0 to {B}/testuser/dev/',
        ...files.map((file) => `file_upload of ${file} to {B}/testuser/dev/`),
      ],
      effect: both(wasBuilt(files), releaseHas('dev', files, { tested: false }), leavesNothingBehind),
    }),
    row('7', 'devpi install example', {
      lines: ['-->{space}{project}$ {venv}/bin/pip install -U example{space}[PIP_INDEX_URL={path},PIP_PRE=1,PIP_USE_WHEEL=1]', `  Downloading {B}/testuser/dev/{plus}f/{fh:${files[0] ?? ''}}/${files[0] ?? ''} ({text})`, 'Successfully installed example-1.0'],
      effect: isImportable('example'),
    }),
    row('8', test, {
      lines: testLines(release),
      effect: both(releaseHas('dev', files, { tested: true }), leavesNothingBehind),
    }),
    row('9', 'devpi list example', { lines: listed(release, 'dev') }),
  ]
}

/** An sdist is unpacked for its settings and tests, and then each file is tested. */
function testLines({ files }: Release): string[] {
  const sdist = 'example-1.0.tar.gz'
  const inOrder = [sdist, ...files.filter((file) => file !== sdist)]
  return [
    ...inOrder.map((file) => `received ${href('dev', file)}`),
    `unpacking {tmp}/{path}/downloads/${sdist} to {tmp}/{path}/targz`,
    ...inOrder.flatMap((file) => [
      `-->{space}{tmp}/{path}/targz/example-1.0$ {path}/tox --installpkg {tmp}/{path}/downloads/${file} --recreate --result-json {tmp}/{path}.json -c {tmp}/{path}/targz/example-1.0/tox.ini{text}`,
      '1 passed in {text}',
      `posting tox result data to ${href('dev', file)}`,
      'successfully posted tox result data',
    ]),
  ]
}

function pushRows(release: Release): Row[] {
  const { files } = release
  return [
    row('10', 'devpi index -c staging volatile=False', { lines: configuration('staging', { bases: 'root/pypi', volatile: false }), effect: indexHas('staging', { volatile: false, bases: ['root/pypi'] }) }),
    row('11', 'devpi push example==1.0 testuser/staging', {
      lines: [
        '   200 register example 1.0 -> testuser/staging',
        ...files.flatMap((file) => [`   200 store_releasefile testuser/staging/+f/{fh:${file}}/${file}`, `   200 store_toxresult testuser/staging/+f/{fh:${file}}/${file}.toxresult{text}`]),
      ],
      effect: releaseHas('staging', files, { tested: true }),
    }),
    row('12', 'devpi use', { lines: using('dev') }),
    row('13', 'devpi use testuser/staging', { lines: using('staging'), effect: isCurrent('testuser/staging') }),
    row('14', 'devpi list example', { lines: listed(release, 'staging') }),
    row('15', 'devpi push example-1.0 pypi:testrun', { lines: ['no pypirc file found at: {home}/.pypirc'] }, { exit: 1 }),
  ]
}

function inheritRows(release: Release): Row[] {
  const { files } = release
  return [
    row('16', 'devpi index testuser/dev bases=testuser/staging', {
      lines: ['/testuser/dev bases=testuser/staging', ...configuration('dev', { bases: 'testuser/staging', volatile: true })],
      effect: indexHas('dev', { bases: ['testuser/staging'] }),
    }),
    row('17', 'devpi use testuser/dev', { lines: using('dev'), effect: isCurrent('testuser/dev') }),
    row('18', 'devpi list example', { lines: [...listed(release, 'dev'), ...listed(release, 'staging')] }),
    row('19', 'devpi remove -y example', {
      lines: [
        'About to remove the following releases and distributions',
        'version: 1.0',
        ...files.map((file) => `  - ${href('dev', file)}`),
        'Are you sure (yes/no)? yes (autoset from -y option)',
        'deleting release 1.0 of example',
      ],
      never: ['{text}testuser/staging{text}'],
      effect: both(releaseIsGone('dev'), releaseHas('staging', files, { tested: true })),
    }),
    row('20', 'devpi list example', { lines: listed(release, 'staging'), never: ['{text}testuser/dev{text}'] }),
  ]
}
