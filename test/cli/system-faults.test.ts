import { mkdir, writeFile } from 'node:fs/promises'
import { systemFailure } from '#cli/system-faults.js'
import { DevpiHome } from './run-devpi.js'

test.each<[fault: object, message: string | undefined, hint: string | undefined]>([
  [{ code: 'ENOSPC', syscall: 'write' }, 'no space is left on the device', 'make room, or set TMPDIR to a folder on another disk'],
  [{ code: 'ENOSPC', path: '/a', dest: '/b' }, '/b: no space is left on the device', 'make room, or set TMPDIR to a folder on another disk'],
  [{ code: 'EACCES', path: '/a' }, '/a: permission denied', undefined],
  [{ code: 'ERR_INVALID_ARG_TYPE' }, undefined, undefined],
  [{}, undefined, undefined],
])('a fault with %j is told as %j', (fault, message, hint) => {
  const failure = systemFailure(Object.assign(new Error('as Node says it'), fault))
  expect([failure?.message, failure?.hint]).toEqual([message, hint])
})

test('a folder that cannot be made is told of in words', async () => {
  await using home = await DevpiHome.open()
  await mkdir(home.path('.devpi/client'), { recursive: true })
  await writeFile(home.path('file'), '')
  await writeFile(home.path('.devpi/client/current.json'), JSON.stringify({ login: 'http://127.0.0.1:9/+login', index: 'http://127.0.0.1:9/a/b', pypisubmit: 'http://127.0.0.1:9/a/b/' }))
  await writeFile(home.path('setup.py'), '')
  const path = home.path('file/x')
  expect(await home.run('upload --dry-run', { env: { TMPDIR: path } })).toMatchObject({ code: 1, err: [expect.stringMatching(/\/file\/x\/devpi-\w+: a part of its path is no folder$/)] })
  expect(await home.run(`use --venv - --clientdir ${path}`)).toMatchObject({ code: 1, err: [`cannot write ${path}/current.json: a part of its path is no folder`, 'use --clientdir DIR for a folder that you may write to'] })
})

test('state that is damaged is found by doctor', async () => {
  await using home = await DevpiHome.open()
  await mkdir(home.path('.devpi/client'), { recursive: true })
  await writeFile(home.path('.devpi/client/auth.json'), '{"auth": {')
  expect((await home.run('doctor')).out[0]).toBe(`error state: ${home.path('.devpi/client/auth.json')} cannot be understood, and counts as empty`)
})
