import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { freePort } from '#test/support/free-port.js'
import { DevpiHome } from './run-devpi.js'

const DEVPI_SERVER = join(import.meta.dirname, '../../../server/bin/devpi-server.js')

test('a quickstart, and everything it started is stopped', async () => {
  await using home = await DevpiHome.open()
  const port = await freePort()
  const root = `http://localhost:${port}/`
  const ran = await home.run(`quickstart --user testuser --port ${port}`)
  try {
    expect(ran.err).toEqual([
      `-->  ${home.folder}$ devpi-server --start --port ${port}`,
      ...['use ' + root.slice(0, -1), 'user -c testuser password=', 'login testuser --password=', 'index -c dev', 'use dev'].map((words) => `-->  ${home.folder}$ devpi ${words}`),
    ])
    const lines = ran.out.join('\n')
    const required = [
      `starting background devpi-server at http://localhost:${port}`, "process 'devpi-server' started pid=", 'devpi-server process startup detected', 'logfile is at ',
      'devpi-server ready: ', `using server: ${root} (not logged in)`, "no current index: type 'devpi use -l' to discover indices", '~/.pydistutils.cfg     : no config file exists', 'always-set-cfg: no',
      'user created: testuser', "logged in 'testuser', credentials valid for 10.00 hours", `${root}testuser/dev:`, '  type=stage', '  bases=root/pypi', '  volatile=True', '  acl_upload=testuser',
      `current devpi index: ${root}testuser/dev (logged in as testuser)`, "COMPLETED!  you can now work with your 'dev' index", 'docs at ',
    ]
    let at = 0
    for (const line of required) {
      const found = lines.indexOf(line, at)
      expect([line, found >= at]).toEqual([line, true])
      at = found
    }
    expect(ran.code).toBe(0)
    expect(await home.run('quickstart')).toMatchObject({ code: 1, err: [`${home.path('.devpi/client')} exists already`, expect.stringContaining('devpi-server --stop')] })
    expect((await home.run('server status --json')).json).toMatchObject({ url: root.slice(0, -1) })
    expect(await home.run(`server start --port ${port}`)).toMatchObject({ code: 1, err: [`a server is already running at ${root.slice(0, -1)}`] })
    expect((await home.succeed('server log')).join('\n')).toContain('devpi-server ready')
  } finally {
    const { stdout } = await promisify(execFile)(process.execPath, [DEVPI_SERVER, '--stop'], { env: { ...process.env, HOME: home.folder } })
    expect(stdout).toMatch(/^killed server pid=\d+\n$/)
  }
  expect(await home.run('server stop')).toMatchObject({ code: 0, err: ['no server found'] })
  expect(await home.run('server status')).toMatchObject({ code: 1, err: ['no server is running'] })
  await expect(fetch(root)).rejects.toThrow()
})

test('what would be done, and what cannot be', async () => {
  await using home = await DevpiHome.open()
  expect((await home.run('quickstart --dry-run --user ada --password=secret')).err.map((line) => line.replace(`-->  ${home.folder}$ `, ''))).toEqual([
    'devpi-server --start', 'devpi use http://localhost:3141', 'devpi user -c ada password=****', 'devpi login ada --password=****', 'devpi index -c dev', 'devpi use dev',
  ])
  expect(await home.run('quickstart --port x')).toMatchObject({ code: 2 })
  await writeFile(home.path('strange'), 'a file where a folder should be')
  const ran = await home.run(['server', 'start', '--port', String(await freePort()), '--serverdir', home.path('strange')])
  expect(ran.code).toBe(1)
  expect(ran.err.join('\n')).toMatch(/^the server did not start\n.*strange/)
})
