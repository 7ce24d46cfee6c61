import fc from 'fast-check'
import { forRequest, openLogger, type Logger } from '#server/process/logger.js'

test('a json line carries time, level, request and fields', () => {
  const [line] = linesOf('json', (logger) => { forRequest(logger, 'r7').info({ sizeBytes: 3 }, 'stored') })
  expect(JSON.parse(line!)).toEqual({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    request: 'r7',
    sizeBytes: 3,
    msg: 'stored',
  })
})

test('a text line reads as one', () => {
  const [line] = linesOf('text', (logger) => { forRequest(logger, 'r7').warn({ sizeBytes: 3, index: 'ann/dev' }, 'slow disk') })
  expect(line).toMatch(/^\S+Z WARN  \[r7\] slow disk sizeBytes=3 index=ann\/dev\n$/)
})

test('a fault brings its stack', () => {
  const [line] = linesOf('text', (logger) => { logger.error(new Error('disk broke'), 'fault') })
  expect(line).toMatch(/ERROR fault\n {2}Error: disk broke\n {6}at /)
})

test('debug lines appear with --debug alone', () => {
  const speak = (logger: Logger): void => { logger.debug('detail') }
  expect(linesOf('json', speak)).toHaveLength(0)
  expect(linesOf('json', speak, true)).toHaveLength(1)
})

test.each([
  ['authorization'], ['Authorization'], ['proxy-authorization'], ['x-devpi-auth'], ['X-Devpi-Auth'], ['cookie'], ['set-cookie'],
  ['password'], ['pwhash'], ['token'], ['secret'],
])('%s is never written', (field) => {
  const lines = linesOf('json', (logger) => {
    logger.info({ [field]: 'hunter2' })
    logger.info({ headers: { [field]: 'hunter2', host: 'kept' } })
    logger.info({ req: { headers: { [field]: ['hunter2'] } } })
    logger.child({ [field]: 'hunter2' }).info('child')
  })
  expect(lines).toHaveLength(4)
  expect(lines.join('')).not.toContain('hunter2')
  expect(lines.join('').match(/\[secret\]/g)).toHaveLength(4)
  expect(lines[1]).toContain('kept')
})

test('what a client sends never breaks out of its line', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, name) => {
      const [line] = linesOf('text', (logger) => { forRequest(logger, name).info({ name }, message) })
      expect(line!.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029]/u)
    }),
  )
})

function linesOf(format: 'json' | 'text', speak: (logger: Logger) => void, debug = false): string[] {
  const lines: string[] = []
  speak(openLogger({ debug, format, write: (line) => lines.push(line) }))
  return lines
}
