import { wheel } from '#test/support/archives.js'
import { testWith, Workshop } from '#test/support/real-clients.js'
import { startServer } from '#test/support/server.js'
import { ranged, TestUpstream, text } from '#test/support/upstream.js'

const withPip = testWith(['venv', 'ensurepip'])

withPip('pip installs through a child of a mirror, again without the upstream, what only the next upstream gives, and is told at once what cannot be had', async () => {
  await using workshop = await Workshop.open()
  await using upstream = await TestUpstream.start()
  await using next = await TestUpstream.start()
  await using server = await startServer({ config: { privateUpstreams: ['127.0.0.1'] } })
  const alice = await server.signUp('alice', { mirror: { type: 'mirror', mirror_url: upstream.url, mirror_fallback_urls: [next.url], mirror_cache_expiry: 0 } })
  await alice.put('/alice/dev', { bases: ['alice/mirror'] })
  const [public1, plain] = [wheel('public', '1.0'), wheel('plain', '2.0')]
  upstream.project('public', [{ filename: public1.filename, content: public1.bytes }])
  upstream.on('/simple/plain/', text(`<a href="${plain.filename}">${plain.filename}</a>`))
  upstream.on(`/simple/plain/${plain.filename}`, (_request, response) => void response.end(plain.bytes))

  upstream.on(`/files/public/${public1.filename}`, ranged(public1.bytes))
  const spare = wheel('spare', '3.0')
  next.project('spare', [{ filename: spare.filename, content: spare.bytes }])

  const pip = await workshop.venv('client')
  const install = (...names: readonly string[]): Promise<{ readonly code: number; readonly output: string }> =>
    workshop.run(pip, ['install', '--force-reinstall', '--no-cache-dir', '--index-url', `${server.url}/alice/dev/+simple/`, ...names])
  expect(await install('public', 'plain')).toMatchObject({ code: 0 })
  const asked = upstream.asked.filter(({ path }) => path === `/files/public/${public1.filename}`).map(({ headers }) => headers.range)
  expect(asked.slice(-2)).toEqual(asked.length > 1 ? ['bytes=-65536', undefined] : [undefined]) // since 23.1 pip asks for the metadata before
  expect(next.asked).toEqual([])
  await upstream[Symbol.asyncDispose]()

  expect(await install('public', 'plain', 'spare')).toMatchObject({ code: 0 })
  const start = performance.now()
  const refused = await install('-vv', '--retries', '5', 'unheard-of') // as many as pip has by itself
  expect(refused).toMatchObject({ code: 1, output: expect.stringMatching(/unheard-of\/: 502 Server Error[^]*No matching distribution found for unheard-of/) as string })
  expect(performance.now() - start).toBeLessThan(10_000)
}, 60_000)
