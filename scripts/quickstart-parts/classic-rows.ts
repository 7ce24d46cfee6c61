import { indexHas, isCurrent, serverIsGone, serverIsThere, tokenIsStored, userExists } from './effects.js'
import { configuration, NOT_CONFIGURED, using } from './release-rows.js'
import type { Row } from './row.js'

/** Row 1: one command for the server, the user and the index. */
export const QUICKSTART: Row = {
  command: 'devpi quickstart{with-port}',
  at: 'home',
  exit: 0,
  checks: [
    {
      id: '1a',
      lines: [
        '-->{space}{home}$ devpi-server --start{text}',
        'starting background devpi-server at {B}',
        "process 'devpi-server' started pid={number}",
        'devpi-server process startup detected',
        'logfile is at {path}',
        '{text}generated the uuid of this server{text}',
        '{text}created the user root{text}',
        '{text}created the index root/pypi{text}',
      ],
      effect: serverIsThere,
    },
    { id: '1b', lines: ['-->{space}{home}$ devpi use {B}', 'using server: {B}/ (not logged in)', "no current index: type 'devpi use -l' to discover indices", ...NOT_CONFIGURED] },
    { id: '1c', lines: ['-->{space}{home}$ devpi user -c testuser password=', 'user created: testuser'], effect: userExists('') },
    { id: '1d', lines: ['-->{space}{home}$ devpi login testuser --password=', "logged in 'testuser', credentials valid for 10.00 hours"], effect: tokenIsStored },
    {
      id: '1e',
      lines: ['-->{space}{home}$ devpi index -c dev', ...configuration('dev', { bases: 'root/pypi', volatile: true })],
      effect: indexHas('dev', { type: 'stage', volatile: true, bases: ['root/pypi'] }),
    },
    {
      id: '1f',
      lines: [
        '-->{space}{home}$ devpi use dev',
        ...using('dev'),
        "COMPLETED!  you can now work with your 'dev' index",
        ...['install', 'upload', 'test', 'push', 'index', 'use', 'user', 'CMD -h', '-h'].map((command) => `  devpi ${command}{text}`),
        'docs at {B}/{text}',
      ],
      effect: isCurrent('testuser/dev'),
    },
  ],
}

/** Row 21. */
export const STOP: Row = { command: 'devpi-server --stop', at: 'home', exit: 0, checks: [{ id: '21', lines: ['killed server pid={number}'], effect: serverIsGone }] }
