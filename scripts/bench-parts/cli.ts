import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { median } from './load.js'
import { startServerUnderTest } from './processes.js'
import { atMost, type BenchOptions, type Row, told } from './row.js'
import { BenchState, PASSWORD } from './state.js'

const DEVPI = join(import.meta.dirname, '../../../cli/bin/devpi.js')
const VERSIONS = 50
/** As many as `addProject` gives a version. */
const FILES_OF_A_VERSION = 10

/** From the start of the client's process to its end, the server idle meanwhile. */
export async function benchCli({ folder, quick }: BenchOptions): Promise<Row[]> {
  const serverDir = join(folder, 'server')
  {
    await using state = await BenchState.create(serverDir, { dev: {} })
    await state.addProject('dev', 'kite', VERSIONS * FILES_OF_A_VERSION)
  }
  await using server = await startServerUnderTest(serverDir)
  const env = { PATH: process.env['PATH'], HOME: folder }
  const devpi = (...words: string[]): Promise<Finished> => run([DEVPI, ...words], env)
  for (const words of [['use', `http://127.0.0.1:${server.port}/alice/dev`], ['login', 'alice', `--password=${PASSWORD}`]]) await devpi(...words)
  const files = (await devpi('list', '--all', 'kite')).output.split('\n').filter((line) => line.startsWith('http'))
  if (files.length !== VERSIONS * FILES_OF_A_VERSION) throw new Error(`devpi list names ${files.length} files`)

  const rounds = quick ? 3 : 21
  const timeOf = async (start: () => Promise<Finished>): Promise<number> => {
    const times: number[] = []
    for (let round = 0; round < rounds; round += 1) times.push((await start()).ms)
    return median(times)
  }
  return [
    told('node, to start and end with nothing to do', `${(await timeOf(() => run(['-e', ''], env))).toFixed(0)} ms`),
    atMost('devpi --version', 200, await timeOf(() => devpi('--version')), 'ms', 0),
    told('devpi -h', `${(await timeOf(() => devpi('-h'))).toFixed(0)} ms`),
    atMost('devpi list of an index', 400, await timeOf(() => devpi('list')), 'ms', 0),
    atMost(`devpi list of a project of ${VERSIONS} versions, ${files.length} files`, 400, await timeOf(() => devpi('list', '--all', 'kite')), 'ms', 0),
  ]
}

interface Finished {
  readonly ms: number
  readonly output: string
}

async function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Finished> {
  const start = performance.now()
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}:\n${output}`)
  return { ms: performance.now() - start, output }
}
