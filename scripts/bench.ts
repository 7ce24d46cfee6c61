import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { ArgumentFault, readArguments, runScript } from './arguments.js'
import { benchApi } from './bench-parts/api.js'
import { benchCachedPages } from './bench-parts/cached-pages.js'
import { benchCli } from './bench-parts/cli.js'
import { benchColdPages } from './bench-parts/cold-pages.js'
import { benchFiles } from './bench-parts/files.js'
import { benchLog } from './bench-parts/log.js'
import { benchMirrorList } from './bench-parts/mirror-list.js'
import { benchMirrors } from './bench-parts/mirrors.js'
import { benchReplica } from './bench-parts/replica.js'
import type { BenchOptions, Row } from './bench-parts/row.js'
import { benchLogSize, benchUploads } from './bench-parts/uploads.js'

const PARTS: Readonly<Record<string, (options: BenchOptions) => Promise<Row[]>>> = {
  'cached-pages': benchCachedPages,
  'cold-pages': benchColdPages,
  'mirror-list': benchMirrorList,
  files: benchFiles,
  mirrors: benchMirrors,
  uploads: benchUploads,
  api: benchApi,
  log: benchLog,
  'log-size': benchLogSize,
  replica: benchReplica,
  cli: benchCli,
}

const USAGE = `npm run bench -- [${Object.keys(PARTS).join('|')}]… [--quick] [--markdown]`

/**
 * Measures what is promised about speed, each as a ratio to something bare in
 * the same run wherever the machine would matter. Resolves to 1 when a target
 * is missed.
 */
export function main(argv: readonly string[], print = (text: string): unknown => process.stdout.write(text)): Promise<number> {
  return runScript(async () => {
    const { values, positionals } = readArguments(argv, { quick: { type: 'boolean' }, markdown: { type: 'boolean' } }, USAGE)
    const wanted = positionals.length === 0 ? Object.keys(PARTS) : positionals
    const quick = values.quick === true
    let missed = 0
    print(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}\n${values.markdown === true ? '\n| | promised | measured |\n|---|---|---|\n' : ''}`)
    for (const name of wanted) {
      const part = PARTS[name]
      if (part === undefined) throw new ArgumentFault(`there is no part ${name}\nusage: ${USAGE}`)
      for (const row of await inFolder((folder) => part({ folder, quick }))) {
        if (row.met === false) missed += 1
        print(values.markdown === true ? markdownOf(row) : lineOf(row))
      }
    }
    return missed === 0 ? 0 : 1
  })
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'devpi-bench-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function lineOf({ what, target, figure, met }: Row): string {
  const verdict = met === undefined ? '' : met ? 'ok' : 'MISSED'
  return `${what.padEnd(72)} ${target.padStart(12)} ${figure.padStart(14)}  ${verdict}\n`
}

function markdownOf({ what, target, figure, met }: Row): string {
  return `| ${what} | ${target} | ${figure}${met === false ? ' (missed)' : ''} |\n`
}
