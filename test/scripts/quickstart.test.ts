import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { jest } from '@jest/globals'
import { LinePatterns } from '#scripts/quickstart-parts/line-pattern.js'
import { Playground } from '#scripts/quickstart-parts/playground.js'
import { type Check, perform, type Row } from '#scripts/quickstart-parts/row.js'
import { main } from '#scripts/quickstart.js'

const FH = 'abc/0123456789def'

test.each([
  ['a line in full', 'type=stage', 'type=stage', true],
  ['no part of one', 'type=stage', '  type=stage', false],
  ['letters as they are', 'a+f (x)? [y]', 'a+f (x)? [y]', true],
  ['a dot as a dot', 'example-1.0', 'example-1x0', false],
  ['a known word', '{B}/testuser', 'http://localhost:1/testuser', true],
  ['a number', 'pid={number}', 'pid=17', true],
  ['no number', 'pid={number}', 'pid=', false],
  ['a version', 'pytest {version}', 'pytest 7.2.1', true],
  ['no version', 'pytest {version}', 'pytest 7', false],
  ['the place of a file', '/+f/{fh:a.tar.gz}/a.tar.gz', `/+f/${FH}/a.tar.gz`, true],
  ['no place of a file', '/+f/{fh:a.tar.gz}/a.tar.gz', '/+f/abc/def/a.tar.gz', false],
])('a pattern finds %s', (_, pattern, line, found) => {
  expect(new LinePatterns({ B: 'http://localhost:1' }).find(pattern, [line], 0)).toBe(found ? 0 : undefined)
})

test('a file has the same address wherever its name stands; lines are looked for from a place on', () => {
  const patterns = new LinePatterns({})
  expect(patterns.find('{fh:a}', ['x', FH, FH], 0)).toBe(1)
  expect(patterns.find('{fh:a}', ['x', FH, FH], 2)).toBe(2)
  expect(patterns.find('{fh:a}', ['fff/0123456789def'], 0)).toBeUndefined()
  expect(patterns.find('{fh:b} {fh:b}', [`${FH} fff/0123456789def`, `${FH} ${FH}`], 0)).toBe(1)
  expect(patterns.fill('get {fh:b} for {who}')).toBe(`get ${FH} for {who}`)
  expect(() => patterns.find('{unknown}', ['x'], 0)).toThrow('nothing is known of {unknown}')
})

test('a row that is not as it should be says what is wrong with it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'devpi-rows-'))
  try {
    const bench = { path: (...parts: string[]) => join(folder, ...parts), venv: '/venv', environment: { PATH: process.env['PATH'] }, publicIndex: '' }
    await using playground = await Playground.open(bench, { name: 'rows', port: 4000 })
    const row = (command: string, ...checks: readonly Check[]): Row => ({ command, at: 'home', exit: 0, checks })
    const rows = [
      row('echo one; echo two >&2; echo {B}; echo $USER', { id: 'good', lines: ['one', 'two', 'http://localhost:4000', 'testuser'], never: ['three'] }),
      row('echo one; echo two; exit 3', { id: 'order', lines: ['two', 'one'] }, { id: 'part', lines: ['one'] }),
      row('echo one', { id: 'never', lines: [], never: ['o{text}'] }, { id: 'effect', lines: [], effect: async ({ home }, { lines }) => [`${lines.join()} in ${basename(home)}`] }),
    ]
    const told: string[] = []
    const verdicts = await perform(rows, playground, { tell: (_, { lines }) => told.push(lines.join()) })
    expect(told).toEqual(['one,two,http://localhost:4000,testuser', 'one,two', 'one'])
    expect(verdicts).toEqual([
      { id: 'good', complaints: [] },
      { id: 'order', complaints: ['the exit status is 3, not 0', 'there is no line, or not in this order: one'] },
      { id: 'part', complaints: ['there is no line, or not in this order: one'] },
      { id: 'never', complaints: ['there must be no line such as one'] },
      { id: 'effect', complaints: ['one in home'] },
    ])
    expect(await perform(rows, playground, { tell: () => undefined, interrupted: AbortSignal.abort() })).toEqual([])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('arguments that nothing can be done with', async () => {
  const told = jest.spyOn(process.stderr, 'write').mockReturnValue(true)
  await using taken = await listening()
  try {
    for (const argv of [['other'], ['--port', 'x'], ['--port', '0'], ['--port', '65536'], ['--port', String(taken.port)], ['--other']]) expect(await main(argv)).toBe(2)
    expect(told).toHaveBeenCalledWith('--port wants a number from 1 to 65535, not 65536\n')
    expect(told).toHaveBeenCalledWith(`port ${taken.port} is in use; choose another --port\n`)
  } finally {
    told.mockRestore()
  }
})

async function listening(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => { resolve() })) }
}
