import { mkdir, writeFile } from 'node:fs/promises'
import { readSession } from '#test/golden/client-session.js'
import { sdist, wheel } from '#test/support/archives.js'
import { startServer } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'

/** Needs Python, or says what no other client says. */
const NOT_COMPARED = /--version|te:st|^devpi (install|test) |--dry-run|pypi:testrun|^devpi use --delete|^devpi user$|^devpi user testuser$/

/** What is on purpose another line, by the pattern of the recorded one; undefined: there is none. */
const INTENDED: readonly (readonly [pattern: RegExp, ours: string | undefined])[] = [
  [/^(\/dev\/null|HOME\/\S+|VENV\/\S+): /, undefined], // files of installers are shown in another order and form, tested on their own
  [/^venv for |^only setting venv/, undefined], // no installation, no environment
  [/^always-set-cfg/, undefined],
  [/^(http\S+)\?no_projects=:$/, '$1:'], // W40
  [/^PUSH (.*)/, 'POST $1'], // the verb that Node can send
  [/^Unauthorized: PyPIView/, undefined],
  [/^403 Forbidden: (project|no permission to modify user) <.*/, undefined], // W43
  [/^( +200 store_toxresult| +- \S+toxresult)/, undefined], // no test was run
]
/** Lines of ours that the reference does not print. */
const ADDED = /^(register |~\/|\/|always-set-cfg|deleting release|403 Forbidden: |log in with |select |wrote )/

test('the session of the reference client, line by line', async () => {
  await using server = await startServer()
  await using home = await DevpiHome.open()
  const files = [wheel('hello-pkg', '1.0'), sdist('hello-pkg', '1.0'), wheel('other-pkg', '0.1'), sdist('other-pkg', '0.1')]
  for (const [folder, some] of [['hello', files.slice(0, 2)], ['FILES', files.slice(2)]] as const) {
    await mkdir(home.path(folder))
    for (const { filename, bytes } of some) await writeFile(home.path(folder, filename), bytes)
  }
  const different: unknown[] = []
  for (const { command, exit, output } of readSession()) {
    if (NOT_COMPARED.test(command)) continue
    const words = wordsOf(command.replaceAll('http://localhost:3141', server.url))
    const ran = await home.run(words)
    const wanted = output.flatMap((line) => intended(line)).map((line) => normal(line, 'http://localhost:3141'))
    const found = [...ran.out, ...ran.err].filter((line) => !ADDED.test(line) || wanted.includes(normal(line, server.url))).map((line) => normal(line, server.url))
    if (ran.code !== exit || JSON.stringify(found.sort()) !== JSON.stringify(wanted.sort())) different.push({ command, exit: [exit, ran.code], wanted, found })
  }
  expect(different).toEqual([
    expect.objectContaining({ command: 'devpi push hello-pkg==1.0 testuser/staging', exit: [1, 0] }), // to push the same again is a success (W19)
    expect.objectContaining({ command: 'devpi index -y --delete testuser/dev', exit: [1, 1] }), // a missing index is 404, not 403 (W46)
  ])
})

function wordsOf(command: string): string[] {
  const words = command.split(' ').slice(1)
  if (words[0] === 'upload' && words.includes('--no-isolation')) return ['upload', '--from-dir', 'hello']
  if (words[0] === 'upload' && !words.includes('--from-dir')) return ['upload', 'FILES/other_pkg-0.1-py3-none-any.whl', 'FILES/other_pkg-0.1.tar.gz']
  if (words[0] === 'index' && words[1] === '-c' && !words.some((word) => word.startsWith('bases='))) return [...words, 'bases='] // ours would have root/pypi
  const title = words.indexOf('title=Dev')
  return title === -1 ? words : [...words.slice(0, title), 'title=Dev index']
}

function intended(line: string): string[] {
  const found = INTENDED.find(([pattern]) => pattern.test(line))
  if (found === undefined) return line.trim() === '' || /^(using workdir|pre-build|-->|built:)/.test(line) ? [] : [line]
  const [pattern, ours] = found
  return ours === undefined ? [] : [line.replace(pattern, ours)]
}

/** Without what differs from run to run, and with the names that files have by today's standard. */
function normal(line: string, url: string): string {
  return line.replaceAll(url, 'ROOT').replace(/\+f\/\w{3}\/\w{13}/g, '+f/…').replace(/(hello|other)-pkg-(\d\.\d\.tar\.gz)/g, '$1_pkg-$2').replace(/, credentials.*/, '').replace(/ at 'ROOT[^']*'/, '')
}
