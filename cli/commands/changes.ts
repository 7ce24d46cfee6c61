import { setTimeout as sleep } from 'node:timers/promises'
import * as Flags from '@oclif/core/flags'
import { type Context, DevpiCommand } from '../base-command.js'
import { type Change, changeOf, changeText } from '../changes.js'
import { Failure, usageError } from '../failure.js'
import { argument, INDEX_FLAG, textFlag } from '../flags.js'
import { listOf, parseJson } from '../json.js'
import { findTarget, nameOfIndex, type Target } from '../place.js'

const FEW = 20
const PAGE = 1000
const RECONNECT_MS = 1000

/** Who did what, when, and at which serial. */
export default class Changes extends DevpiCommand {
  static override summary = 'show what happened, or follow it as it happens'
  static override description = `Without option the newest changes of the current index, oldest first, each with its serial. --all is for the whole server. With
--follow it goes on until interrupted; with --json each change is then one line.`
  static override examples = ['devpi changes', 'devpi changes hello --limit 100', 'devpi changes --all --follow', 'devpi changes --since 12']
  static override args = { project: argument('only changes of this project') }
  static override flags = {
    index: INDEX_FLAG,
    all: Flags.boolean({ description: 'of all indexes, users too', exclusive: ['index'] }),
    since: textFlag({ description: 'only after this serial', helpValue: 'SERIAL' }),
    limit: textFlag({ description: `how many of the newest, ${FEW} unless told`, helpValue: 'N' }),
    follow: Flags.boolean({ char: 'f', description: 'go on with what happens' }),
  }

  async run(): Promise<object | undefined> {
    const { args, flags } = await this.parse(Changes)
    const limit = wholeNumber('limit', flags.limit) ?? FEW
    const since = wholeNumber('since', flags.since)
    const context = await this.open(flags)
    const target = await findTarget(context, flags.index)
    const filter = new URLSearchParams({
      ...(!flags.all && target.index !== undefined && { index: nameOfIndex({ root: target.root, index: target.index }) }),
      ...(args.project !== undefined && { project: args.project }),
    })
    const { changes, next } = await newest(context, target, { filter, since, limit })
    if (flags.follow) {
      for (const change of changes) print(context, change)
      await follow(context, target, filter, next)
      return undefined
    }
    for (const change of changes) context.terminal.line(changeText(change))
    return { changes, next }
  }
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw usageError(`argument --${name}: '${text}' is no whole number`)
}

interface Wanted {
  readonly filter: URLSearchParams
  readonly since: number | undefined
  readonly limit: number
}

/** The feed begins at the oldest, so pages are read through and the newest kept. */
async function newest({ client }: Context, { root }: Target, { filter, since, limit }: Wanted): Promise<{ readonly changes: readonly Change[]; readonly next: number }> {
  let changes: Change[] = []
  let next = since ?? -1
  for (;;) {
    const query = new URLSearchParams(filter)
    query.set('since', String(next))
    query.set('limit', String(PAGE))
    const result = await client.result('GET', `${root}+changes?${query.toString()}`, 'changes')
    changes = [...changes, ...listOf(result['changes']).flatMap((value) => changeOf(value) ?? [])].slice(-limit)
    const following = result['next']
    if (result['more'] !== true || typeof following !== 'number' || following <= next) return { changes, next: typeof following === 'number' ? following : next }
    next = following
  }
}

function print({ terminal, surroundings }: Context, change: Change): void {
  if (terminal.json) surroundings.writeOut(`${JSON.stringify(change)}\n`)
  else terminal.line(changeText(change))
}

/** Until interrupted, or until nobody reads on. A connection that breaks is made again, from the last serial on. */
async function follow(context: Context, { root }: Target, filter: URLSearchParams, since: number): Promise<void> {
  const { client, surroundings, terminal } = context
  const ended = AbortSignal.any([surroundings.interrupted, surroundings.unread])
  let next = since
  while (!ended.aborted) {
    const query = new URLSearchParams(filter)
    query.set('since', String(next))
    try {
      for await (const { id, data } of client.events(`${root}+changes?${query.toString()}`, ended)) {
        if (id !== undefined && /^\d+$/.test(id)) next = Number(id)
        const change = data === '' ? undefined : changeOf(parseJson(data))
        if (change !== undefined) print(context, change)
      }
    } catch (error) {
      if (ended.aborted) return
      if (!(error instanceof Failure) || error.code !== 'CONNECT') throw error
      terminal.debug(error.message)
    }
    await sleep(RECONNECT_MS, undefined, { signal: ended }).catch(() => undefined)
  }
}
