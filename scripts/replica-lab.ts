import { setMaxListeners } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { CloseStack } from '#server/process/close-stack.js'
import { ROOT } from '#test/support/child-server.js'
import { ArgumentFault, readArguments, runScript, wholeNumber } from './arguments.js'
import { LOAD_LOGIN, runLoad, signUp } from './replica-lab-parts/load.js'
import { configFileOf, followText, type LabNode, look, secretFileOf, startNodes } from './replica-lab-parts/nodes.js'
import { Rates, roleOf, tableText } from './replica-lab-parts/table.js'

const USAGE = 'npm run replica-lab -- [--seconds N] [--uploaders 4] [--readers 8]'
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const TABLE_PAUSE_MS = 1000
const MOST_WORKERS = 200

/** Where the lab is shown. A terminal has the table at one place, anything else gets one after the other. */
export interface Screen {
  readonly write: (text: string) => unknown
  readonly isTerminal: boolean
}

/**
 * A primary, two replicas and a load on this machine, for people to watch and to break: prints once a
 * second what each node says of itself, and before it the commands with which
 * to kill, promote and bring back. Ends on a signal or after `--seconds`, and leaves nothing. Resolves to 0.
 */
export function main(argv: readonly string[], screen: Screen = { write: (text) => process.stdout.write(text), isTerminal: process.stdout.isTTY }): Promise<number> {
  return runScript(async () => {
    const { seconds, uploaders, readers } = readLabArguments(argv)
    const interruption = new AbortController()
    const stop = (): void => interruption.abort()
    for (const signal of SIGNALS) process.on(signal, stop) // each may come twice: from the terminal, and from npm
    try {
      await runLab({ seconds, uploaders, readers, screen, interrupted: interruption.signal })
      screen.write('the servers of the lab are stopped and their folder is removed\n')
    } finally {
      for (const signal of SIGNALS) process.off(signal, stop)
    }
    return 0
  })
}

interface LabArguments {
  /** Undefined: until somebody ends it. */
  readonly seconds: number | undefined
  readonly uploaders: number
  readonly readers: number
}

function readLabArguments(argv: readonly string[]): LabArguments {
  const { values, positionals } = readArguments(argv, { seconds: { type: 'string' }, uploaders: { type: 'string' }, readers: { type: 'string' } }, USAGE)
  if (positionals.length > 0) throw new ArgumentFault(`nothing is known of ${positionals.join(' ')}\nusage: ${USAGE}`)
  const workers = (name: 'uploaders' | 'readers', fallback: number): number => {
    const count = wholeNumber(name, values[name], fallback)
    if (count > MOST_WORKERS) throw new ArgumentFault(`--${name} wants at most ${MOST_WORKERS}, not ${count}`)
    return count
  }
  return {
    seconds: values.seconds === undefined ? undefined : wholeNumber('seconds', values.seconds, 0, 1),
    uploaders: workers('uploaders', 4),
    readers: workers('readers', 8),
  }
}

interface Lab extends LabArguments {
  readonly screen: Screen
  readonly interrupted: AbortSignal
}

async function runLab({ seconds, uploaders, readers, screen, interrupted }: Lab): Promise<void> {
  await using stack = new CloseStack()
  const folder = await mkdtemp(join(tmpdir(), 'devpi-replica-lab-'))
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const nodes: LabNode[] = []
  await startNodes(folder, (node) => nodes.push(stack.use(node)))
  const [primary] = nodes
  if (primary === undefined) return
  const auth = await signUp(primary.url)
  await look(nodes)
  screen.write(handbook(folder, nodes))
  const loadEnd = new AbortController()
  setMaxListeners(uploaders + readers + 10, loadEnd.signal)
  const load = runLoad(auth, { nodes, uploaders, readers, stop: loadEnd.signal })
  stack.defer(async () => {
    loadEnd.abort()
    await load
  })
  await showTables(nodes, { screen, seconds, interrupted })
}

async function showTables(nodes: readonly LabNode[], { screen, seconds = Infinity, interrupted }: Omit<Lab, 'uploaders' | 'readers'>): Promise<void> {
  const rates = new Rates()
  const told = new Map(nodes.map((node) => [node, stateOf(node)]))
  let before = 0
  const endMs = performance.now() + seconds * 1000
  while (!interrupted.aborted && performance.now() < endMs) {
    await wait(Math.min(TABLE_PAUSE_MS, Math.max(endMs - performance.now(), 0)), undefined, { signal: interrupted }).catch(() => undefined)
    if (interrupted.aborted) return
    await look(nodes)
    const events = nodes.filter((node) => told.get(node) !== stateOf(node))
    for (const node of events) told.set(node, stateOf(node))
    const above = events.map((node) => `${new Date().toLocaleTimeString('en-GB')}  ${node.name}: ${stateOf(node)}\n`).join('')
    const table = `\n${tableText(rates.rows(nodes))}`
    screen.write(`${before > 0 && screen.isTerminal ? `\x1b[${before}A\x1b[J` : ''}${above}${table}`)
    before = table.split('\n').length - 1
  }
}

function stateOf({ seen }: LabNode): string {
  return seen === undefined ? 'gone' : `${roleOf(seen)}, epoch ${seen.epoch}`
}

/** Commands to be copied. A name or path of this machine with a blank in it is put in quotes. */
function handbook(folder: string, nodes: readonly LabNode[]): string {
  const program = `${quoted(process.execPath)} ${quoted(join(ROOT, 'server/bin/devpi-server.js'))}`
  const [primary, first, second] = nodes
  if (primary === undefined || first === undefined || second === undefined) return ''
  const at = (node: LabNode): string => `--serverdir ${quoted(node.serverDir)} --host 127.0.0.1 --port ${new URL(node.url).port}`
  const commands: readonly (readonly [string, string])[] = [
    ['kill the primary', `kill -9 ${primary.pid}`],
    ['make it hang', `kill -STOP ${primary.pid}`],
    ['and go on', `kill -CONT ${primary.pid}`],
    [`make ${first.name} the primary`, `${program} promote --serverdir ${quoted(first.serverDir)}`],
    [`let ${second.name} follow it`, `printf '${followText(first.url).replaceAll('\n', '\\n')}' > ${quoted(configFileOf(folder, second.name))}`],
    ['bring the killed one back, following it', `${program} ${at(primary)} --role replica --primary-url ${first.url} --secretfile ${quoted(secretFileOf(folder))}`],
    ['what nobody else had of it', `cat ${quoted(join(primary.serverDir, 'set-aside'))}/*.txt`],
    ['its log', `tail -f ${quoted(primary.logFile)}`],
  ]
  const lines = [
    ...nodes.map(({ name, url, pid }) => `${name.padEnd(9)}  ${url}/  process ${pid}`),
    `user ${LOAD_LOGIN.user}, password ${LOAD_LOGIN.password}, index ${LOAD_LOGIN.index}; everything is in ${folder} and goes when this ends`,
    '',
    'In another terminal:',
    ...commands.flatMap(([what, command]) => [`  # ${what}`, `  ${command}`]),
    '',
    'Ctrl-C ends it; servers that you started are yours to end before. Errors are those since the start.',
  ]
  return `${lines.join('\n')}\n`
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
