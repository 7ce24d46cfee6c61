import { createHash } from 'node:crypto'
import { wheel } from '#test/support/archives.js'
import { startReplica } from '#test/support/replica.js'
import { startServer } from '#test/support/server.js'

const UPLOADS = Number(process.env['READ_YOUR_WRITES'] ?? 100)

test(`${UPLOADS} uploads through a replica are each seen there at once, page and bytes`, async () => {
  await using primary = await startServer()
  await using replica = await startReplica(primary)
  const ada = await replica.signUp('ada', { dev: {} })
  for (let at = 0; at < UPLOADS; at += 1) {
    const file = wheel(`demo${at % 10}`, `1.${at}`)
    const sha256 = createHash('sha256').update(file.bytes).digest('hex')
    expect((await ada.upload('dev', file)).status).toBe(200)
    expect(await (await replica.fetch(`/ada/dev/+simple/demo${at % 10}/`)).text()).toContain(sha256)
    const reply = await replica.fetch(`/ada/dev/+f/${sha256.slice(0, 3)}/${sha256.slice(3, 16)}/${file.filename}`)
    expect(createHash('sha256').update(Buffer.from(await reply.arrayBuffer())).digest('hex')).toBe(sha256)
  }
}, 30_000 + UPLOADS * 200)
