import { join } from 'node:path'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { measureFold } from './fold.js'
import { getRequest, once } from './load.js'
import { startServerUnderTest } from './processes.js'
import { atLeast, atMost, type BenchOptions, type Row } from './row.js'
import { BenchState } from './state.js'

/** Folding the log afresh, starting on a long one, and the memory of a server that does nothing. */
export async function benchLog({ folder, quick }: BenchOptions): Promise<Row[]> {
  const entries = quick ? 5000 : 200_000
  const { entriesPerSecond } = await measureFold({ entries, projections: ALL_PROJECTIONS })
  const long = join(folder, 'long')
  {
    await using state = await BenchState.create(long, { dev: {} })
    await state.addProject('dev', 'demo', 50)
    await state.addFiller(entries)
  }
  const many = join(folder, 'many')
  const files = quick ? 1000 : 100_000
  {
    await using state = await BenchState.create(many, { dev: {} })
    for (let at = 0; at < files; at += 100) await state.addProject('dev', `project-${at / 100}`, 100)
  }
  return [
    atLeast('entries folded from serial 0 per second', 50_000, entriesPerSecond, 0),
    await firstAnswer(long, entries),
    await idleMemory(many, files),
  ]
}

async function firstAnswer(serverDir: string, entries: number): Promise<Row> {
  const start = performance.now()
  await using server = await startServerUnderTest(serverDir)
  await once(server.port, getRequest('/alice/dev/+simple/demo/'))
  return atMost(`first answer after start, ${entries.toLocaleString('en')} entries in the log`, 1000, performance.now() - start, 'ms', 0)
}

async function idleMemory(serverDir: string, files: number): Promise<Row> {
  await using server = await startServerUnderTest(serverDir)
  for (let at = 0; at < 20; at += 1) await once(server.port, getRequest(`/alice/dev/+simple/project-${at}/`))
  return atMost(`idle memory with ${files.toLocaleString('en')} files`, 150, server.rssBytes() / 1024 / 1024, 'MB')
}
