import { PassThrough } from 'node:stream'
import { LineReader } from '#cli/line-reader.js'

/** A terminal whose raw mode is noted. */
class Keys extends PassThrough {
  readonly modes: boolean[] = []

  setRawMode(on: boolean): this {
    this.modes.push(on)
    return this
  }
}

const NEVER = new AbortController().signal

test.each<[keys: string, line: string | undefined]>([
  ['secret\r', 'secret'],
  ['secret\n', 'secret'],
  ['secrex\u007ft\r', 'secret'],
  ['\u007f\bsecret\r', 'secret'],
  ['wrong one\u0015secret\r', 'secret'], // Ctrl-U
  ['my wrong \u0017secret\r', 'my secret'], // Ctrl-W
  ['sec\u001b[D\u001b[3~\u001bOCret\r', 'secret'], // arrows, Delete
  ['sec\u001aret\u0000\r', 'secret'], // Ctrl-Z
  ['p\u00e4ss\u{1F511}x\u007f\r', 'p\u00e4ss\u{1F511}'],
  ['\r', ''],
  ['secret\u0004', 'secret'],
  ['\u0004', undefined],
])('of the hidden keys %j the line is %j', async (keys, line) => {
  const input = new Keys()
  const asked = new LineReader(input, NEVER).line('hidden', () => input.write(keys))
  expect(await asked).toBe(line)
  expect(input.modes).toEqual([true, false])
})

test('what was typed ahead is the next line', async () => {
  const input = new Keys()
  const lines = new LineReader(input, NEVER)
  expect(await lines.line('hidden', () => input.write('first\rsecond\r'))).toBe('first')
  expect(await lines.line('hidden', () => undefined)).toBe('second')
})

test.each(['\u0003', 'secret\u0003'])('%j interrupts, and the terminal shows again what is typed', async (keys) => {
  const input = new Keys()
  await expect(new LineReader(input, NEVER).line('hidden', () => input.write(keys))).rejects.toMatchObject({ code: 'CANCELLED', exitCode: 130 })
  expect(input.modes).toEqual([true, false])
})

test('an interruption from elsewhere does so too', async () => {
  const input = new Keys()
  const stop = new AbortController()
  const asked = new LineReader(input, stop.signal).line('hidden', () => undefined)
  stop.abort()
  await expect(asked).rejects.toMatchObject({ code: 'CANCELLED' })
  await expect(new LineReader(input, stop.signal).line('shown', () => undefined)).rejects.toMatchObject({ code: 'CANCELLED' })
  expect(input.modes).toEqual([true, false])
})

test('of an input that is no terminal every line is taken as it is', async () => {
  const input = new PassThrough()
  input.end('a\u0015b\nrest')
  const lines = new LineReader(input, NEVER)
  expect(await lines.line('hidden', () => undefined)).toBe('a\u0015b')
  expect(await lines.line('shown', () => undefined)).toBe('rest')
  expect(await lines.line('shown', () => undefined)).toBeUndefined()
})
