import { startServer, type TestServer } from '#test/support/server.js'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
  await server.signUp('nina', { open: {}, closed: { acl_read: ['nina'] } })
})
afterAll(() => server[Symbol.asyncDispose]())

const FILE = '+f/abc/0123456789abc/demo-1.0.tar.gz'

test.each([
  ['/', 200],
  ['/nina', 200],
  ['/nina/', 200],
  ['/nina/open/', 200],
  [`/nina/open/${FILE}?x=//`, 200],
  [`/nina/closed/${FILE}`, 401],
  ['/nina/closed/+api', 200],
  ['/nina/closed/demo/1.0/+doc/+api', 401],
  ['/nina/closed/+at/3/+simple/+api', 401],
  [`/other/../nina/closed/${FILE}`, 401],
  // nginx serves these from where the single slash leads to.
  [`/nina//closed/${FILE}`, 403],
  [`//nina/closed/${FILE}`, 403],
  [`//x/nina/open/${FILE}`, 403],
  [`/nina/\\closed/${FILE}`, 403],
  [`/nina/closed%2f${FILE}`, 403],
  ['/+changes?since=1', 200],
  ['/+health/ready', 200],
  ['/+metrics', 200],
  ['/nina/none/', 403],
  ['/+changelog/0', 403],
  ['/%ff', 403],
])('a proxy that asks about %s as nobody hears %i', async (uri, status) => {
  const reply = await server.fetch('/+authcheck', { headers: { 'X-Original-URI': uri } })
  expect(reply.status).toBe(status)
})

test('the past of a name is that of the index which had it then', async () => {
  const otto = await server.signUp('otto', { plans: { acl_read: ['otto'] } })
  const past = `/otto/plans/+at/${server.head()}/${FILE}`
  expect((await otto.delete('/otto/plans')).status).toBe(201)
  await otto.put('/otto/plans', {}) // another one, for everybody

  const statusFor = async (headers: Record<string, string>): Promise<number> =>
    (await server.fetch('/+authcheck', { headers: { 'X-Original-URI': past, ...headers } })).status
  expect(await statusFor({})).toBe(401)
  expect(await statusFor({ 'X-Devpi-Auth': otto.auth })).toBe(200)
})
