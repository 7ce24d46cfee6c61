import { both, indexHas, isCurrent, serverIsThere, tokenIsStored, userExists } from './effects.js'
import { configuration, NOT_CONFIGURED, using } from './release-rows.js'
import type { Check, Row } from './row.js'

/** What takes the place of row 1 where each step is done by hand. */
export const MODERN_START: readonly Row[] = [
  step('M1', 'devpi-init', { lines: ['{text}generated the uuid of this server{text}', '{text}created the user root{text}', '{text}created the index root/pypi{text}', 'initialised {path} with user root and index root/pypi'] }),
  step('M2', 'devpi-server --start{with-port}', { lines: ['starting background devpi-server at {B}', "process 'devpi-server' started pid={number}", 'devpi-server process startup detected', 'logfile is at {path}'], effect: serverIsThere }),
  step('M3', 'devpi use {B}', { lines: ['using server: {B}/ (not logged in)', "no current index: type 'devpi use -l' to discover indices", ...NOT_CONFIGURED], effect: isCurrent(undefined) }),
  step('M4', 'devpi user -c testuser password=123', { lines: ['user created: testuser'], never: ['{text}password=123{text}'], effect: userExists('123') }),
  step('M5', 'devpi login testuser --password=123', { lines: ["logged in 'testuser', credentials valid for 10.00 hours"], effect: tokenIsStored }),
  step('M6', 'devpi index -c dev bases=root/pypi', { lines: configuration('dev', { bases: 'root/pypi', volatile: true }), effect: both(indexHas('dev', { type: 'stage', volatile: true, bases: ['root/pypi'] }), isCurrent(undefined)) }),
  step('M7', 'devpi use testuser/dev', { lines: using('dev'), effect: isCurrent('testuser/dev') }),
]

function step(id: string, command: string, check: Omit<Check, 'id'>): Row {
  return { command, at: 'home', exit: 0, checks: [{ ...check, id }] }
}
