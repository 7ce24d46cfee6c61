import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CLI_JSON_DOCS, cliJsonDocs } from '#scripts/cli-json.js'
import { COMMANDS, type Printed } from '#scripts/cli-json-parts/commands.js'
import { sdist, wheel } from '#test/support/archives.js'
import { ROOT } from '#test/support/child-server.js'
import { freePort } from '#test/support/free-port.js'
import { startServer } from '#test/support/server.js'
import { jsonFaults } from './printed-json.js'
import { DevpiHome, type Ran, type RunOptions } from './run-devpi.js'
import { standIn } from './stand-in.js'

test('docs/cli-json.md is what the descriptions make: if not, run `npm run cli-json`', () => {
  expect(readFileSync(CLI_JSON_DOCS, 'utf8')).toBe(cliJsonDocs())
})

test('every command is described, and nothing else', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'oclif.manifest.json'), 'utf8')) as { commands: object }
  expect(Object.keys(COMMANDS).sort()).toEqual(Object.keys(manifest.commands).sort())
})

test.each<[string, string, string]>([
  ['login ada --json', '{"user": "ada", "root": "http://h/", "expiresAt": null, "token": "x"}', 'must NOT have additional properties'],
  ['login ada --json', '{"user": "ada", "expiresAt": null}', "must have required property 'root'"],
  ['list kite --json', '{"project": "kite", "files": [], "hidden": "0"}', '/hidden must be integer'],
  ['use -l --json', '{"indexes": [{"name": "a/b", "type": "stage", "bases": []}]}', "/indexes/0 must have required property 'volatile'"],
  ['list --json', '{"error": {"code": "ODD", "message": ""}}', '/code must match pattern'],
  ['refresh x --json', '{"error": {"code": "NOT_FOUND", "message": ""}, "rest": 1}', 'must NOT have additional properties'],
  ['changes --follow --json', '{"serial": 1}\n{"serial": 2}', "must have required property 'time'"],
  ['list --json', 'kite', 'prints no JSON object'],
])('%s that prints %s is at fault', (line, out, fault) => {
  expect(jsonFaults(line.split(' '), out).join('\n')).toContain(fault)
})

test('every command prints what is described, in every form', async () => {
  await using server = await startServer()
  await server.signUp('bo', { dev: {} })
  await using home = await DevpiHome.open()
  const seen = new Set<Printed>()
  const json = async (line: string | readonly string[], options: RunOptions = {}): Promise<Ran['json']> => {
    const ran = await home.run(typeof line === 'string' ? `${line} --json` : [...line, '--json'], options)
    jsonFaults(typeof line === 'string' ? line.split(' ') : line, ran.out.join('\n'), (form) => seen.add(form))
    return ran.json
  }
  for (const line of [`use ${server.url}`, 'user -c ada password=1', 'login ada --password=1', 'index -c stable bases=', 'index -c dev bases=', 'use dev', 'use -l', 'user -l', 'user ada', 'user ada email=a@h', 'index dev title=x', 'index -l']) await json(line)
  await json('passwd ada --password-stdin', { input: 'longer than that' })
  await json(['login', 'ada', '--password=longer than that'])
  await mkdir(home.path('dist'))
  for (const file of [sdist('kite', '1.0'), wheel('kite', '1.1')]) await writeFile(home.path('dist', file.filename), file.bytes)
  for (const line of ['upload dist/kite-1.0.tar.gz', 'upload --watch --once dist', 'verify dist/kite-1.0.tar.gz', 'list', 'list -v', 'list kite', 'test --list kite==1.0', 'why kite', 'changes', 'getjson /ada/dev']) await json(line)
  await json('patchjson /ada/dev -', { input: '["title=y"]' })
  for (const line of ['yank kite==1.1', 'unyank kite==1.1', 'push kite==1.0 ada/stable', 'refresh kite', 'policy simulate constraints=!kite', 'clone ada/dev copy', 'rename copy other', 'index --delete -y other']) await json(line)
  const { id } = (await json('token create ci')) as { id: string }
  for (const line of ['token list', `token revoke ${id}`, 'completion bash', 'completion names users', 'doctor', 'version', 'quickstart --dry-run']) await json(line)
  await json('install kite', { env: await standIn(home, 'pip', 'exit 0') })
  const { serial } = (await json('remove -y kite==1.0')) as { serial: number }
  await json(`undo ${serial}`)
  const port = await freePort()
  for (const line of [`server start --port ${port}`, 'server status', 'server log', 'server stop', 'user --delete -y ada', 'logoff', 'use --delete']) await json(line)

  const unseen = Object.entries(COMMANDS).flatMap(([command, forms]) => forms.filter((form) => form.isLines !== true && !seen.has(form)).map(({ when }) => `${command} ${when}`))
  expect(unseen).toEqual([])
}, 60_000)
