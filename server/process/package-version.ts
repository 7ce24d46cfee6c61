import { readFileSync } from 'node:fs'

/** The version in package.json, which lies three folders above the compiled file. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  const found: unknown = JSON.parse(text)
  if (typeof found !== 'object' || found === null || !('version' in found) || typeof found.version !== 'string') {
    throw new Error('package.json has no version')
  }
  return found.version
}
