import { startServer } from '#test/support/server.js'

test.each([
  ['GET', '/ada/dev'],
  ['GET', '/ada/dev/+simple/demo/'],
  ['PATCH', '/ada/dev'],
])('%s %s says to try again while the database is being opened', async (method, path) => {
  await using server = await startServer()
  const ada = await server.signUp('ada', { dev: {} })
  await server.running.storage[Symbol.asyncDispose]()
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json' }
  const reply = await ada.fetch(path, { method, headers, ...(method === 'PATCH' && { body: '{}' }) })
  expect([reply.status, reply.headers.get('Retry-After')]).toEqual([503, '1'])
  expect(await reply.json()).toEqual({ message: 'the server opens its database again; try again in a moment' })
  expect(server.log.filter((line) => line.includes('"level":"error"'))).toEqual([])
})
