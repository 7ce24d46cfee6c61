import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from '#test/support/child-server.js'
import { testWith } from '#test/support/real-clients.js'
import { startServer, type TestServer } from '#test/support/server.js'
import { DevpiHome } from './run-devpi.js'

/** Everything that a shell offers for the last word of each line, sorted, in a shell that read the script. */
type Complete = (script: string, lines: readonly string[]) => Promise<readonly (readonly string[])[]>

let server: TestServer
let home: DevpiHome
let env: NodeJS.ProcessEnv

beforeAll(async () => {
  server = await startServer()
  await server.signUp('hal', { dev: {}, stable: {} })
  home = await DevpiHome.open()
  await home.succeed(`use ${server.url}/hal/dev`)
  await mkdir(home.path('bin'))
  await writeFile(home.path('bin/devpi'), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'cli/bin/devpi.js')}' "$@"\n`)
  await chmod(home.path('bin/devpi'), 0o755)
  await writeFile(home.path('hello-1.0.tar.gz'), '')
  env = { HOME: home.folder, PATH: `${home.path('bin')}:/usr/bin:/bin`, TERM: 'dumb', LC_ALL: 'C' }
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await home[Symbol.asyncDispose]()
})

async function shell(program: string, args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, [...args], { cwd: home.folder, env, timeout: 50_000 })).stdout
}

const bash: Complete = async (script, lines) => {
  const asked = lines.map((line) => `COMP_WORDS=(${line.split(' ').map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${line.split(' ').length - 1}; COMPREPLY=(); _devpi; echo "\${COMPREPLY[*]}"`)
  return rows(await shell('bash', ['--norc', '--noprofile', '-c', `source '${script}'\n${asked.join('\n')}`]))
}

const fish: Complete = async (script, lines) => {
  const asked = lines.map((line) => `echo (complete -C '${line}' | cut -f1)`)
  return rows(await shell('fish', ['--no-config', '-c', `source '${script}'\n${asked.join('\n')}`]))
}

/** A shell on a terminal of its own, where Tab is pressed behind each line, and what stands there then is kept in a file. */
const ZSH = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source '$1' && bindkey '^I' complete-word && keep() { print -r -- \\"\\$BUFFER\\" >> kept; BUFFER=; print don''e; } && zle -N keep && bindkey '^X' keep && print read''y"
zpty -r -m shell seen '*ready*'
shift
for line; do
  zpty -n -w shell "$line"$'\\t\\x18'
  zpty -r -m shell seen '*done*'
done
zpty -d shell
`

/** Of several it fills in what they begin with. */
const zsh: Complete = async (script, lines) => {
  await shell('zsh', ['-f', '-c', ZSH, 'zsh', script, ...lines])
  const kept = (await readFile(home.path('kept'), 'utf8')).trimEnd().split('\n')
  return kept.map((line) => line.trimEnd().split(' ').slice(-1))
}

function rows(printed: string): string[][] {
  return printed.replace(/\n$/, '').split('\n').map((line) => line.split(' ').filter((word) => word !== '').sort())
}

const LINES: readonly (readonly [line: string, ...offered: string[]])[] = [
  ['devpi upl', 'upload'],
  ['devpi tok', 'token'],
  ['devpi token re', 'revoke'],
  ['devpi list --fail', '--failures'],
  ['devpi token create --exp', '--expires'],
  ['devpi list --no-n', '--no-netrc'],
  ['devpi use hal/s', 'hal/stable'],
  ['devpi login h', 'hal'],
  ['devpi upload hel', 'hello-1.0.tar.gz'],
]
const SHELLS = [['bash', bash], ['zsh', zsh], ['fish', fish]] as const

for (const [name, complete] of SHELLS) {
  testWith([name])(`${name} completes commands, options and names, as it does for its user`, async () => {
    await writeFile(home.path(`devpi.${name}`), (await home.succeed(`completion ${name}`)).join('\n'))
    const offered = await complete(home.path(`devpi.${name}`), LINES.map(([line]) => line))
    expect(LINES.map(([line], at) => [line, ...(offered[at] ?? [])])).toEqual(LINES)
  }, 60_000)
}

for (const [name, complete] of SHELLS.filter(([known]) => known !== 'zsh')) {
  testWith([name])(`${name} offers all there are`, async () => {
    const script = home.path(`all.${name}`)
    await writeFile(script, (await home.succeed(`completion ${name}`)).join('\n'))
    const [tokens, indexes, commands] = await complete(script, ['devpi token ', 'devpi use ', 'devpi '])
    expect(tokens).toEqual(['create', 'list', 'revoke'])
    expect(indexes).toEqual(['hal/dev', 'hal/stable', 'root/pypi'])
    expect(commands).toEqual(expect.arrayContaining(['completion', 'index', 'server', 'use', 'why']))
  }, 60_000)
}

test('names are printed for shells, and what is no shell is refused', async () => {
  expect(await home.succeed('completion names indexes')).toEqual(['hal/dev', 'hal/stable', 'root/pypi'])
  expect(await home.succeed('completion names users')).toEqual(['hal', 'root'])
  expect(await home.succeed('completion names projects')).toEqual([])
  expect(await home.run('completion names')).toMatchObject({ code: 2 })
  expect(await home.run('completion csh')).toMatchObject({ code: 2 })
})
