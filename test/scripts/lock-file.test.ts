import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

interface LockedPackage {
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const text = await readFile(join(import.meta.dirname, '../../../package-lock.json'), 'utf8')
const { packages } = JSON.parse(text) as { packages: Record<string, LockedPackage> }

test('every optional dependency is locked', () => {
  // npm leaves a package out when the registry lacks its build for another platform; `npm ci` then refuses the file there.
  const locked = new Set(Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)))
  const wanted = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}))
  expect(wanted.length).toBeGreaterThan(0)
  expect(wanted.filter((name) => !locked.has(name))).toEqual([])
})

test('the lock file names no registry host', () => {
  expect(Object.entries(packages).filter(([, entry]) => entry.resolved !== undefined)).toEqual([])
  expect(text).not.toMatch(/https?:\/\/[^"]*\.tgz/)
})
