import type { StatusJson } from '#log-format/api/status.js'
import { startServer, type TestServer, type TestServerOptions } from './server.js'

/** A replica of a server, or of another replica, that is a real server itself. */
export function startReplica(primary: Pick<TestServer, 'secretFile' | 'url'>, options: TestServerOptions = {}, primaryUrl = primary.url): Promise<TestServer> {
  const { secretFile } = primary
  return startServer({
    ...options,
    follower: { firstPauseMs: 5, longestPauseMs: 50, ...options.follower },
    config: { role: 'replica', primaryUrl, secretFile, ...options.config },
  })
}

/** Resolves when a replica has every entry that the primary has now. */
export async function caughtUp(replica: TestServer, primary: TestServer): Promise<void> {
  const { serial } = primary.running.storage.head
  await replica.running.storage.reached(serial, AbortSignal.timeout(60_000))
}

/** Resolves when `isSo` is: a follower tells of itself by its status alone. */
export async function until(isSo: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  for (const stop = performance.now() + ms; performance.now() < stop; ) {
    if (await isSo()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('what was waited for did not happen')
}

export async function statusOf(fetchFrom: TestServer['fetch']): Promise<StatusJson> {
  const reply = await fetchFrom('/+status', { headers: { Accept: 'application/json' } })
  return ((await reply.json()) as { result: StatusJson }).result
}
