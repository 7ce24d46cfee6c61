import { Refusal } from '#log-format/api/refusal.js'
import { UpstreamClient } from '#server/upstream/client.js'
import { TargetHosts } from '#server/upstream/target-hosts.js'
import { UpstreamBreaker } from '#server/upstream/upstream-breaker.js'
import { redirect, silence, TestUpstream, text } from '#test/support/upstream.js'

const url = (path: string, host = 'a.example'): URL => new URL(`http://${host}${path}`)
let time = 0
let breaker = new UpstreamBreaker(() => time)
beforeEach(() => { breaker = new UpstreamBreaker(() => time) })

function isOpen(host?: string): boolean {
  try {
    breaker.check(url('/', host))
    return true
  } catch (error) {
    expect(error).toBeInstanceOf(Refusal)
    return false
  }
}

test('a server that cannot be reached is left alone, longer each time, until it answers', () => {
  for (const pause of [1000, 2000, 4000]) {
    breaker.failed(url('/x'))
    expect([isOpen(), isOpen('b.example')]).toEqual([false, true])
    time += pause - 1
    expect(isOpen()).toBe(false)
    time += 1
    expect(isOpen()).toBe(true)
  }
  breaker.answered(url('/x'), 500, undefined)
  breaker.failed(url('/x'))
  time += 1000
  expect(isOpen()).toBe(true)
})

test('one address that is not answered pauses nothing, however often; three do, unless something was answered', () => {
  for (let round = 0; round < 10; round += 1) breaker.unanswered(url('/slow'))
  breaker.unanswered(url('/slower'))
  expect(isOpen()).toBe(true)
  breaker.answered(url('/fast'), 200, undefined)
  breaker.unanswered(url('/third'))
  expect(isOpen()).toBe(true)
  breaker.unanswered(url('/slow'))
  breaker.unanswered(url('/slower'))
  expect(isOpen()).toBe(false)
})

test('Retry-After of 429 and 503 counts, at most half a minute', () => {
  breaker.answered(url('/'), 429, '9')
  time += 8999
  expect(isOpen()).toBe(false)
  time += 1
  expect(isOpen()).toBe(true)
  breaker.answered(url('/'), 503, '999999')
  time += 30_000
  expect(isOpen()).toBe(true)
})

test('a client whose one page hangs gets the others, and redirects do not add up', async () => {
  await using upstream = await TestUpstream.start()
  upstream.on('/hangs', silence)
  upstream.on('/fast', text('fast'))
  for (let hop = 0; hop < 5; hop += 1) {
    upstream.on(`/hop${hop}`, (request, response) => {
      setTimeout(() => void redirect(`/hop${hop + 1}`)(request, response), 150)
    })
  }
  using client = new UpstreamClient({ hosts: new TargetHosts(['127.0.0.1']), userAgent: 'test', now: () => time, idleTimeoutMs: 200 })
  const ask = async (path: string): Promise<number> => {
    const reply = await client.open({ upstream: { url: new URL(upstream.url) }, url: new URL(path, upstream.origin), signal: AbortSignal.timeout(5000) })
    reply.body.resume()
    return reply.status
  }
  for (let round = 0; round < 3; round += 1) await expect(ask('/hangs')).rejects.toThrow(/did not answer \(ETIMEDOUT\)/)
  expect(await ask('/fast')).toBe(200)
  const before = upstream.asked.length
  await expect(ask('/hop0')).rejects.toThrow(/did not answer/)
  expect(upstream.asked.length - before).toBeLessThanOrEqual(3) // and not all five, each of them in time
})
