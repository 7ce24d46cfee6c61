// Compiles the whole tree into dist/. Plain JavaScript: it must run before anything is built.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
rmSync(join(root, 'dist'), { recursive: true, force: true }) // a deleted test would otherwise go on running there

const compiler = join(root, 'node_modules/typescript-native/bin/tsc')
const { status } = spawnSync(process.execPath, [compiler, '-p', root], { stdio: 'inherit' })
process.exitCode = status ?? 1
