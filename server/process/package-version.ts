import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of package.json, three above that of the compiled file. */
export function packageFolder(): string {
  return fileURLToPath(new URL('../../..', import.meta.url)).replace(/(.)[/\\]$/, '$1')
}

/** The version in package.json. */
export function packageVersion(): string {
  const text = readFileSync(join(packageFolder(), 'package.json'), 'utf8')
  const found: unknown = JSON.parse(text)
  if (typeof found !== 'object' || found === null || !('version' in found) || typeof found.version !== 'string') {
    throw new Error('package.json has no version')
  }
  return found.version
}
