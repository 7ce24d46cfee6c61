import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { DevpiHome } from './run-devpi.js'

/** Folder of the programs that stand in for those of a machine. */
const FOLDER = 'stand-ins'

/**
 * A program that is found first, does what the shell script says, and notes
 * what it is called with from now on: `PATH` of an environment to run commands in.
 */
export async function standIn(home: DevpiHome, name: string, script: string): Promise<{ readonly PATH: string }> {
  await mkdir(home.path(FOLDER), { recursive: true })
  const log = home.path(FOLDER, `${name}.calls`)
  await writeFile(home.path(FOLDER, name), `#!/bin/sh\n{ echo "$*"; env | sort | grep -E '^(PIP|UV|PYTHON)_'; echo; } >> '${log}'\n${script}\n`)
  await chmod(home.path(FOLDER, name), 0o755)
  await rm(log, { force: true })
  return { PATH: `${home.path(FOLDER)}:/usr/bin:/bin` }
}

export interface Call {
  readonly args: string
  readonly variables: readonly string[]
}

export async function callsOf(home: DevpiHome, name: string): Promise<Call[]> {
  const text = await readFile(home.path(FOLDER, `${name}.calls`), 'utf8').catch(() => '')
  return text.split('\n\n').filter((call) => call !== '').map((call) => {
    const [args = '', ...variables] = call.split('\n')
    return { args, variables }
  })
}
