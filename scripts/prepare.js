// Runs on `npm install` and `npm pack`. An installed tarball or a production install has no compiler: nothing to do there.
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
if (existsSync(join(root, 'node_modules/@types/jest'))) await import('./build.js')
