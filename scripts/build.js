// Compiles the whole tree into dist/. Plain JavaScript: it must run before anything is built.
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './run.js'

/**
 * Resolves to true when dist/ is new. It is empty while the compiler runs, so that a source that was deleted does not
 * live on as its old output; after a type error the last good build is put back.
 */
export async function build(root) {
  const dist = join(root, 'dist')
  const old = join(root, 'dist.old')
  remove(old)
  if (existsSync(dist)) renameSync(dist, old)
  const built = (await run(process.execPath, [compilerOf(root), '-p', root, '--noEmitOnError'])) === 0
  const complete = built && (await finishClient(root))
  if (!complete) {
    remove(dist)
    if (existsSync(old)) renameSync(old, dist)
  }
  remove(old)
  return complete
}

/** The client reads what its commands take from a manifest beside package.json, and is bundled, so that it starts quickly. */
async function finishClient(root) {
  if (!existsSync(join(root, 'dist/cli/commands'))) return true
  const codes = await Promise.all(['manifest', 'bundle'].map((name) => run(process.execPath, [join(root, `scripts/${name}.js`)])))
  return codes.every((code) => code === 0)
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
