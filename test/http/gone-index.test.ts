import { wheel } from '#test/support/archives.js'
import { startServer, type TestServer, type TestUser } from '#test/support/server.js'

const FILE = wheel('demo', '1.0')

let server: TestServer
let nina: TestUser
let bob: TestUser
beforeEach(async () => {
  server = await startServer()
  nina = await server.signUp('nina', { open: {}, closed: { acl_read: ['nina', 'bob'] } })
  bob = await server.signUp('bob')
  for (const index of ['open', 'closed']) await nina.upload(index, FILE)
})
afterEach(() => server[Symbol.asyncDispose]())

/** Status of the page and of the file of an index as it was at a serial; they agree. */
async function statusAt(serial: number, index: string, user?: TestUser): Promise<number> {
  const fetchAs = (path: string): Promise<Response> => (user === undefined ? server.fetch(path) : user.get(path, {}))
  const page = await fetchAs(`/nina/${index}/+at/${serial}/+simple/demo/`)
  const { result } = await linksOf(serial)
  const file = await fetchAs(result.replace('/open/', `/${index}/`).replace('/+f/', `/+at/${serial}/+f/`))
  expect(file.status).toBe(page.status)
  return page.status
}

/** The public path of the file on the open index. */
async function linksOf(serial: number): Promise<{ result: string }> {
  const page = await server.fetch(`/nina/open/+at/${serial}/+simple/demo/`, { headers: { 'User-Agent': 'pip/25.0' } })
  const href = /href="([^"#]+)/.exec(await page.text())?.[1] ?? ''
  return { result: new URL(href, `${server.url}/nina/open/+at/${serial}/+simple/demo/`).pathname.replace(/\/\+at\/\d+/, '') }
}

test('an index that is gone is read by whom it let in', async () => {
  const serial = server.head()
  await nina.delete('/nina/closed')
  expect(await statusAt(serial, 'closed', nina)).toBe(200)
  expect(await statusAt(serial, 'closed', bob)).toBe(200)
  expect(await statusAt(serial, 'closed')).toBe(401)
})

test('what was closed before it went stays closed, also for the time when it was open', async () => {
  const serial = server.head()
  expect((await nina.patch('/nina/closed', { acl_read: ['nina'] })).status).toBe(200)
  await nina.delete('/nina/closed')
  expect(await statusAt(serial, 'closed', nina)).toBe(200)
  expect(await statusAt(serial, 'closed', bob)).toBe(403)
  await nina.put('/nina/closed', {})
  expect(await statusAt(serial, 'closed', bob)).toBe(403)
})

test('a later index of the same name opens nothing of the one before', async () => {
  const serial = server.head()
  await nina.delete('/nina/closed')
  await nina.put('/nina/closed', {})
  expect(await statusAt(serial, 'closed')).toBe(401)
  expect(await statusAt(serial, 'closed', bob)).toBe(200)
})

test.each(['nina', 'bob'])('whoever signs up as %s after the first one left inherits no right to the past', async (name) => {
  const serial = server.head()
  await nina.delete('/nina')
  if (name === 'bob') await bob.delete('/bob')
  const namesake = await server.signUp(name, name === 'nina' ? { closed: {} } : {})
  expect(await statusAt(serial, 'closed', namesake)).toBe(401)
  expect(await statusAt(serial, 'open', namesake)).toBe(200)
})
