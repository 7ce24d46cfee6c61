import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rename } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { FakeCheckout } from './fake-checkout.js'

/** Takes the source for compiled, unless it says that it is broken. */
const COMPILE = `
  const source = fs.readFileSync('server/serve.ts', 'utf8')
  if (source.startsWith('broken')) {
    console.log('serve.ts: ' + source)
    process.exit(2)
  }
  fs.mkdirSync('dist/server/bin', { recursive: true })
  fs.writeFileSync('dist/server/bin/serve.js', source)
`

/** Says where it listens and what it was given, answers with its name, and ends when it is told to, or after a minute. */
function serverNamed(name: string): string {
  return `
    import { createServer } from 'node:http'
    export async function main(args) {
      const server = createServer((request, reply) => reply.setHeader('Connection', 'close').end('${name}'))
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
      setTimeout(() => process.exit(), 60_000).unref()
      console.log('${name} at http://127.0.0.1:' + server.address().port, ...args)
      await new Promise((resolve) => process.once('SIGTERM', resolve))
      await new Promise((resolve) => server.close(resolve))
      console.log('${name} stopped')
      return 0
    }
  `
}

function serverEndingWith(code: number): string {
  return `export async function main() { return ${code} }`
}

let checkout: FakeCheckout
let dev: DevRun
beforeEach(async () => {
  checkout = await FakeCheckout.create(COMPILE)
  for (const name of ['chokidar', 'readdirp']) await checkout.link(name)
})
afterEach(async () => {
  await dev[Symbol.asyncDispose]()
  await checkout[Symbol.asyncDispose]()
})

test('a change is built, and served in place of what was', async () => {
  await checkout.write('server/serve.ts', serverNamed('one'))
  dev = new DevRun(checkout, ['--port', '0', '--debug'])
  expect(await dev.stdout.next(/^one at/)).toMatch(/ --port 0 --debug$/)
  await checkout.write('server/serve.ts', serverNamed('two'))
  await dev.stdout.next(/^one stopped/)
  expect(await dev.stdout.next(/^two at/)).toMatch(/ --port 0 --debug$/)
  expect(await checkout.calls()).toEqual(['ci', 'build', 'build'])
})

test('while the sources do not compile, the last good build serves', async () => {
  await checkout.write('server/serve.ts', serverNamed('one'))
  dev = new DevRun(checkout)
  const url = urlIn(await dev.stdout.next(/^one at/))
  await checkout.write('server/serve.ts', 'broken: a type')
  await dev.stdout.next(/^serve.ts: broken: a type/)
  await dev.stderr.next(/the server of the last good build goes on/)
  expect(await (await fetch(url)).text()).toBe('one')
  await checkout.write('server/serve.ts', serverNamed('two'))
  expect(await dev.stdout.next(/^one stopped|^two at/)).toBe('one stopped')
  await dev.stdout.next(/^two at/)
})

test('many files that come at once make one build, and one beside the sources none', async () => {
  await checkout.write('server/serve.ts', serverNamed('one'))
  dev = new DevRun(checkout)
  await dev.stdout.next(/^one at/)
  await checkout.write('notes.txt', 'not a source')
  for (let at = 0; at < 50; at += 1) await checkout.write(`aside/${at}.ts`, '')
  await rename(checkout.path('aside'), checkout.path('server/new'))
  await dev.stdout.next(/^one stopped/)
  await dev.stdout.next(/^one at/)
  await checkout.write('server/serve.ts', serverNamed('two'))
  await dev.stdout.next(/^two at/)
  expect(await checkout.calls()).toEqual(['ci', 'build', 'build', 'build'])
})

test('sources that do not compile at first are served when they do, and an old build is not', async () => {
  await checkout.write('server/serve.ts', serverNamed('one'))
  await checkout.run('scripts/set-up.js', [])
  await checkout.write('server/serve.ts', 'broken from the start')
  dev = new DevRun(checkout)
  await dev.stderr.next(/no server runs until then/)
  await checkout.write('server/serve.ts', 'broken in another way')
  expect(await dev.stderr.next(/until then|goes on/)).toMatch(/no server runs until then/)
  expect(dev.stderr.passed.filter((line) => !/^devpi: (building|the build failed)/.test(line))).toEqual([])
  await checkout.write('server/serve.ts', serverNamed('two'))
  expect(await dev.stdout.next(/ at /)).toMatch(/^two at/)
})

test('a server that ended by itself starts again with the next change', async () => {
  await checkout.write('server/serve.ts', serverEndingWith(7))
  dev = new DevRun(checkout)
  await dev.stderr.next(/the server ended with 7/)
  await checkout.write('server/serve.ts', serverNamed('one'))
  await dev.stdout.next(/^one at/)
})

test('a change of the lock file installs first', async () => {
  await checkout.write('server/serve.ts', serverNamed('one'))
  dev = new DevRun(checkout)
  await dev.stdout.next(/^one at/)
  await checkout.write('package-lock.json', '{"lockfileVersion": 3}')
  await dev.stdout.next(/^one stopped/)
  await dev.stdout.next(/^one at/)
  expect(await checkout.calls()).toEqual(['ci', 'build', 'ci', 'build'])
})

test.each([2, 4])('wrong usage of the server (%i) ends it', async (code) => {
  await checkout.write('server/serve.ts', serverEndingWith(code))
  dev = new DevRun(checkout)
  expect(await dev.ended).toBe(code)
})

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s, and another one at once, ends the server, then itself', async (signal) => {
  await checkout.write('server/serve.ts', serverNamed('one'))
  dev = new DevRun(checkout)
  await dev.stdout.next(/^one at/)
  dev.child.kill(signal)
  dev.child.kill(signal === 'SIGTERM' ? 'SIGINT' : 'SIGTERM') // as when terminal and npm both pass something on
  await dev.stdout.next(/^one stopped/)
  expect(await dev.ended).toBe(0)
})

test('killed at once, it leaves no server behind', async () => {
  await checkout.write('server/serve.ts', serverNamed('one'))
  dev = new DevRun(checkout)
  await dev.stdout.next(/^one at/)
  dev.child.kill('SIGKILL')
  await dev.stdout.next(/^one stopped/)
  await dev.ended // which waits for whoever holds its output
})

function urlIn(line: string): string {
  return /http:\S+/.exec(line)?.[0] ?? ''
}

/** `npm run dev` in a checkout, without npm. */
class DevRun implements AsyncDisposable {
  readonly child: ChildProcess
  readonly stdout: Lines
  readonly stderr: Lines
  /** Its exit code, once nobody writes any more, its server included. */
  readonly ended: Promise<number | null>

  constructor(checkout: FakeCheckout, args: readonly string[] = []) {
    this.child = checkout.spawn('scripts/dev.js', args)
    this.stdout = new Lines(this.child.stdout!)
    this.stderr = new Lines(this.child.stderr!)
    this.ended = once(this.child, 'close').then(([code]) => code as number | null)
  }

  /** Waits for nothing that would be left behind: that is for the tests to find. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdout?.destroy()
    this.child.stderr?.destroy()
    this.child.kill('SIGKILL')
    await this.ended
  }
}

/** Lines of a stream, each handed out once. */
class Lines {
  readonly #lines: AsyncIterator<string>
  /** Lines that nobody asked for. */
  readonly passed: string[] = []

  constructor(stream: Readable) {
    this.#lines = createInterface({ input: stream })[Symbol.asyncIterator]()
  }

  /** The next line like this, passing over others. */
  async next(wanted: RegExp): Promise<string> {
    for (;;) {
      const { value, done } = await this.#lines.next()
      if (done === true) throw new Error(`ended without a line ${wanted}, but with:\n${this.passed.join('\n')}`)
      if (wanted.test(value)) return value
      this.passed.push(value)
    }
  }
}
