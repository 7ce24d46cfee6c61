import { startServer } from '#test/support/server.js'
import { tarGz } from '#test/support/tar-builder.js'

test('one file under two readings of its name belongs to the project that had it first', async () => {
  await using server = await startServer()
  const nina = await server.signUp('nina', { dev: {} })
  const file = { filename: 'foo-1-2.tar.gz', bytes: tarGz([{ name: 'foo/setup.py', bytes: Buffer.from('x') }]) }
  expect((await nina.upload('dev', { ...file, name: 'foo', version: '1-2' })).status).toBe(200)
  const head = server.head()

  const reply = await nina.upload('dev', { ...file, name: 'foo-1', version: '2' })
  expect(reply.status).toBe(409)
  expect(await reply.text()).toContain('belongs to project foo already')
  expect(server.head()).toBe(head)
  expect((await nina.get('/nina/dev/foo-1')).status).toBe(404)
  expect((await nina.patch('/nina/dev/foo/1-2', { yanked: true })).status).toBe(200)
})
