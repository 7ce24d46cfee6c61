import { type CommandShape, type FlagShape, type Invocation, readArguments, unmarked } from '#cli/arguments.js'

const generic: readonly FlagShape[] = [
  { name: 'debug', type: 'boolean' },
  { name: 'yes', char: 'y', type: 'boolean' },
  { name: 'verbose', char: 'v', type: 'boolean' },
  { name: 'clientdir', type: 'option' },
]
const commands: readonly CommandShape[] = [
  { id: 'user', aliases: [], flags: [...generic, { name: 'create', char: 'c', type: 'boolean' }, { name: 'modify', char: 'm', type: 'boolean' }] },
  { id: 'use', aliases: [], flags: [...generic, { name: 'always-set-cfg', type: 'option' }, { name: 'venv', type: 'option' }] },
  { id: 'login', aliases: [], flags: [...generic, { name: 'password', type: 'option' }] },
  { id: 'logoff', aliases: ['logout'], flags: generic },
  {
    id: 'test',
    aliases: [],
    flags: [...generic, { name: 'tox-args', type: 'option' }, { name: 'env', char: 'e', type: 'option' }, { name: 'fallback-ini', type: 'option' }, { name: 'config', char: 'c', type: 'option' }],
  },
  { id: 'token:create', aliases: [], flags: [...generic, { name: 'name', type: 'option' }] },
]

function read(...words: string[]): Invocation {
  const found = readArguments(words, commands, generic)
  return found.kind === 'run' ? { ...found, argv: found.argv.map((word) => word.replace(/^(--[a-z-]+=)(.*)$/s, (_all, flag: string, value: string) => flag + unmarked(value))) } : found
}

test.each<[string, string[], string, string[]]>([
  ['options before the command', ['-y', '--clientdir', 'd', 'user', '-c', 'ada'], 'user', ['--yes', '--clientdir=d', '--create', '--', 'ada']],
  ['options between arguments', ['user', 'ada', '-m', 'k=v'], 'user', ['--modify', '--', 'ada', 'k=v']],
  ['bundled short options', ['user', '-yv', 'ada'], 'user', ['--yes', '--verbose', '--', 'ada']],
  ['a bundle that ends in a value', ['test', '-yepy311', 'kite'], 'test', ['--yes', '--env=py311', '--', 'kite']],
  ['a glued value', ['test', '-epy311', 'kite'], 'test', ['--env=py311', '--', 'kite']],
  ['a value behind =', ['test', '-e=py311', 'kite'], 'test', ['--env=py311', '--', 'kite']],
  ['a value of its own', ['test', '-e', 'py311', 'kite'], 'test', ['--env=py311', '--', 'kite']],
  ['a unique prefix', ['use', '--always=no'], 'use', ['--always-set-cfg=no', '--']],
  ['a unique prefix with a value of its own', ['test', '--fallback', 'x', 'kite'], 'test', ['--fallback-ini=x', '--', 'kite']],
  ['an empty value', ['login', 'ada', '--password='], 'login', ['--password=', '--', 'ada']],
  ['a value like an option', ['login', 'ada', '--password=-yx'], 'login', ['--password=-yx', '--', 'ada']],
  ['tox options', ['test', '--tox-args=-v', 'kite'], 'test', ['--tox-args=-v', '--', 'kite']],
  ['tox options with blanks', ['test', '--tox-args', '-c foo.ini', 'kite'], 'test', ['--tox-args=-c foo.ini', '--', 'kite']],
  ['a dash as value', ['use', '--venv', '-'], 'use', ['--venv=-', '--']],
  ['of a repeated option the last', ['test', '-e', 'a', '-e', 'b', 'kite'], 'test', ['--env=b', '--', 'kite']],
  ['a repeated flag', ['user', '-v', '-v'], 'user', ['--verbose', '--']],
  ['settings that end oddly', ['user', 'ada', 'title=', 'key-=', 'bases+=a/b'], 'user', ['--', 'ada', 'title=', 'key-=', 'bases+=a/b']],
  ['only arguments behind --', ['user', '--', '-c', '--help'], 'user', ['--', '-c', '--help']],
  ['an alias', ['logout'], 'logoff', ['--']],
  ['a command of two words', ['token', 'create', '--name', 'ci'], 'token:create', ['--name=ci', '--']],
  ['a command of two words after options', ['-v', 'token', '-y', 'create'], 'token:create', ['--verbose', '--yes', '--']],
])('read: %s', (_name, words, id, argv) => {
  expect(read(...words)).toEqual({ kind: 'run', id, argv })
})

test.each<[string[], Invocation]>([
  [[], { kind: 'help', id: undefined }],
  [['-h'], { kind: 'help', id: undefined }],
  [['help'], { kind: 'help', id: undefined }],
  [['user', '-h'], { kind: 'help', id: 'user' }],
  [['user', 'ada', '--help'], { kind: 'help', id: 'user' }],
  [['help', 'user'], { kind: 'help', id: 'user' }],
  [['token'], { kind: 'help', id: 'token' }],
  [['user', '-yh'], { kind: 'help', id: 'user' }],
  [['--version'], { kind: 'version' }],
  [['--debug', '--version'], { kind: 'version' }],
  [['user', '--version'], { kind: 'version' }],
])('%j', (words, wanted) => {
  expect(read(...words)).toEqual(wanted)
})

test.each<[string[], string]>([
  [['usr'], "there is no command 'usr', did you mean 'user'?"],
  [['xyz'], "there is no command 'xyz'"],
  [['token', 'crate'], "there is no command 'token crate', did you mean 'token create'?"],
  [['user', '--nope'], 'unrecognized arguments: --nope'],
  [['user', '-x'], 'unrecognized arguments: -x'],
  [['user', '-yx'], 'unrecognized arguments: -x'],
  [['user', '--create=yes'], 'argument --create takes no value'],
  [['login', '--password'], 'argument --password: expected one argument'],
  [['login', '--password', '-y'], 'argument --password: expected one argument'],
  [['test', '-e', '--tox-args', 'x'], 'argument -e: expected one argument'],
  [['-c', 'user'], 'unrecognized arguments: -c'],
  [['test', '--c'], 'ambiguous option: --c could match --clientdir, --config'],
])('refused: %j', (words, reason) => {
  expect(() => read(...words)).toThrow(expect.objectContaining({ code: 'USAGE', exitCode: 2, message: reason }))
})
