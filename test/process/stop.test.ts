import { once } from 'node:events'
import { connect } from 'node:net'
import { startServer } from '#test/support/server.js'

test('a server that stops does not wait for a connection on which nothing was asked', async () => {
  await using server = await startServer()
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  await once(socket, 'connect')
  await (await server.fetch('/+api')).text() // a later connection was taken, so this one was
  const closed = once(socket, 'close')
  await server.stop()
  await closed
}, 10_000)
