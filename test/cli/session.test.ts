import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { Session } from '#cli/session.js'
import { changeState } from '#cli/state-files.js'
import { DevpiHome } from './run-devpi.js'

const ROOT = 'http://pkgs.example:3141/'
const PLACE = { login: `${ROOT}+login`, index: `${ROOT}ada/dev`, simpleindex: `${ROOT}ada/dev/+simple/`, pypisubmit: `${ROOT}ada/dev/`, features: ['push-no-docs'] }

async function openIn(home: DevpiHome, env: NodeJS.ProcessEnv = {}): Promise<Session> {
  return Session.open({ clientDir: undefined, env: { HOME: home.folder, ...env }, cwd: home.folder })
}

test('the files are those of the reference client', async () => {
  await using home = await DevpiHome.open()
  const session = await openIn(home)
  await session.select(PLACE)
  await session.logIn(ROOT, 'bo', 'token "of" [bo]: x', 2e9)
  await session.logIn(ROOT, 'ada', 'token of ada', undefined)

  const current = await readFile(home.path('.devpi/client/current.json'), 'utf8')
  expect(current).toBe(
    [
      '{',
      '  "features": [',
      '    "push-no-docs"',
      '  ],',
      `  "index": "${ROOT}ada/dev",`,
      `  "login": "${ROOT}+login",`,
      `  "pypisubmit": "${ROOT}ada/dev/",`,
      `  "simpleindex": "${ROOT}ada/dev/+simple/",`,
      '  "username": "ada"',
      '}',
    ].join('\n'),
  )
  expect(JSON.parse(await readFile(home.path('.devpi/client/auth.json'), 'utf8'))).toEqual({
    auth: { [ROOT]: [['ada', 'token of ada'], ['bo', 'token "of" [bo]: x']] },
  })
  for (const name of ['auth.json', 'current.json', 'settings.json']) {
    expect((await stat(home.path('.devpi/client', name))).mode & 0o777).toBe(0o600)
  }
  expect((await readdir(home.path('.devpi/client'))).sort()).toEqual(['auth.json', 'current.json', 'settings.json'])
})

test('another client finds what was written, and what it wrote stays', async () => {
  await using home = await DevpiHome.open()
  await mkdir(home.path('.devpi/client'), { recursive: true })
  await writeFile(home.path('.devpi/client/current.json'), JSON.stringify({ login: `${ROOT}+login`, username: 'ada', of_a_plugin: 7 }))
  await writeFile(home.path('.devpi/client/auth.json'), JSON.stringify({ auth: { [ROOT]: [['ada', null], ['bo', 't']] }, future: true }))
  const session = await openIn(home)
  expect(session.root).toBe(ROOT)
  expect(session.tokenAt(ROOT)).toBeUndefined() // null means logged out
  expect(session.hasLogin(ROOT, 'bo')).toBe(true)
  await session.change({ venvdir: '/v' })
  await session.logIn(ROOT, 'ada', 'new', undefined)
  expect(JSON.parse(await readFile(home.path('.devpi/client/current.json'), 'utf8'))).toMatchObject({ of_a_plugin: 7, venvdir: '/v' })
  expect(JSON.parse(await readFile(home.path('.devpi/client/auth.json'), 'utf8'))).toMatchObject({ future: true })
})

test('logins that older clients kept with the selection are adopted', async () => {
  await using home = await DevpiHome.open()
  await mkdir(home.path('.devpi/client'), { recursive: true })
  await writeFile(home.path('.devpi/client/current.json'), JSON.stringify({ login: `${ROOT}+login`, auth: { [ROOT]: ['ada', 'old token'] } }))
  expect((await openIn(home)).tokenAt(ROOT)).toBe('old token')
  expect((await openIn(home)).tokenAt(ROOT)).toBe('old token')
  expect(await readFile(home.path('.devpi/client/current.json'), 'utf8')).not.toContain('old token')
})

test.each(['', 'nonsense', '[]', '{"login": 7}', 'null'])('a file that holds %j counts as empty', async (text) => {
  await using home = await DevpiHome.open()
  await mkdir(home.path('.devpi/client'), { recursive: true })
  await writeFile(home.path('.devpi/client/current.json'), text)
  const session = await openIn(home)
  expect(session.place).toBeUndefined()
  await session.change({ username: 'ada' })
  expect(session.userAt(ROOT)).toBe('ada')
  const isKept = (await readdir(home.path('.devpi/client'))).includes('current.json.damaged')
  expect(isKept).toBe(['nonsense', '[]', 'null'].includes(text))
  if (isKept) expect(await readFile(home.path('.devpi/client/current.json.damaged'), 'utf8')).toBe(text)
})

test('changes at the same time all stay', async () => {
  await using home = await DevpiHome.open()
  const path = home.path('new/folder/state.json')
  await Promise.all(Array.from({ length: 20 }, (_, at) => changeState(path, 0o600, (before) => ({ ...before, [`key${at}`]: at }))))
  expect(Object.keys(JSON.parse(await readFile(path, 'utf8')) as object)).toHaveLength(20)
  expect(await readdir(home.path('new/folder'))).toEqual(['state.json'])
})

test('of several users on several servers each has a login', async () => {
  await using home = await DevpiHome.open()
  const session = await openIn(home)
  await session.logIn(ROOT, 'ada', 'a', undefined)
  await session.logIn('http://other.example/sub/', 'ada', 'b', undefined)
  await session.logIn(ROOT, 'bo', 'c', undefined)
  expect(session.tokenAt(ROOT, 'ada')).toBe('a')
  expect(session.tokenAt('http://other.example/sub/', 'ada')).toBe('b')
  expect((await openIn(home, { DEVPI_USER: 'ada' })).tokenAt(ROOT)).toBe('a') // the name and the token go together
  await session.logOff(ROOT, 'bo')
  expect(session.hasLogin(ROOT, 'bo')).toBe(false)
  expect(session.hasLogin(ROOT, 'ada')).toBe(true)
})

test('credentials of a proxy are found for everything below, with and without port', async () => {
  await using home = await DevpiHome.open()
  const session = await openIn(home)
  await session.setBasicAuth('https://pkgs.example/', { username: 'proxy', password: 'p' })
  expect(session.basicAuthFor('https://pkgs.example:443/ada/dev')).toEqual({ username: 'proxy', password: 'p' })
  expect(session.basicAuthFor('https://other.example/ada/dev')).toBeUndefined()
})

test('an active environment with a selection of its own has that', async () => {
  await using home = await DevpiHome.open()
  await mkdir(home.path('venv'))
  await writeFile(home.path('venv/devpi.json'), JSON.stringify({ login: 'http://local.example/+login' }))
  expect((await openIn(home, { VIRTUAL_ENV: home.path('venv') })).root).toBe('http://local.example/')
})

test('a lock that was left behind is taken over, and one that is held is waited for', async () => {
  await using home = await DevpiHome.open()
  const path = home.path('state.json')
  await writeFile(`${path}.lock`, '')
  await utimes(`${path}.lock`, new Date(0), new Date(0))
  await changeState(path, 0o600, () => ({ a: 1 }))
  expect(await readdir(home.folder)).toEqual(['state.json'])

  await writeFile(`${path}.lock`, '')
  const changed = changeState(path, 0o600, (before) => ({ ...before, b: 2 }))
  await rm(`${path}.lock`)
  expect(await changed).toEqual({ a: 1, b: 2 })
})
