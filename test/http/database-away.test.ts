import { startServer } from '#test/support/server.js'

test.each([
  ['GET', '/ada/dev', 'try again in a moment'],
  ['GET', '/ada/dev/+simple/demo/', 'try again in a moment'],
  ['PATCH', '/ada/dev', 'look in a moment whether the change was made, before you try again'],
])('%s %s while the database is being opened is told what to do', async (method, path, whatToDo) => {
  await using server = await startServer()
  const ada = await server.signUp('ada', { dev: {} })
  await server.running.storage[Symbol.asyncDispose]()
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json' }
  const reply = await ada.fetch(path, { method, headers, ...(method === 'PATCH' && { body: '{}' }) })
  expect([reply.status, reply.headers.get('Retry-After')]).toEqual([503, '1'])
  expect(await reply.json()).toEqual({ message: `the server opens its database again; ${whatToDo}` })
  expect(server.log.filter((line) => line.includes('"level":"error"'))).toEqual([expect.stringContaining('LEVEL_')])
})
