// Compiles the whole tree into dist/. Plain JavaScript: it must run before anything is built.
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './run.js'

/**
 * Resolves to true when dist/ was replaced. The compiler writes beside dist/, so a type error leaves the last good build
 * in place, and a source that was deleted does not live on as its old output.
 */
export async function build(root) {
  const fresh = join(root, 'dist.new')
  const dist = join(root, 'dist')
  const old = join(root, 'dist.old')
  remove(fresh)
  const compiler = compilerOf(root)
  if ((await run(process.execPath, [compiler, '-p', root, '--outDir', fresh, '--noEmitOnError'])) !== 0) {
    remove(fresh)
    return false
  }
  remove(old)
  if (existsSync(dist)) renameSync(dist, old)
  renameSync(fresh, dist)
  remove(old)
  return true
}

export function compilerOf(root) {
  return join(root, 'node_modules/typescript-native/bin/tsc')
}

function remove(folder) {
  rmSync(folder, { recursive: true, force: true })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = (await build(fileURLToPath(new URL('..', import.meta.url)))) ? 0 : 1
}
