import { toSerial } from '#log-format/serial.js'
import { startServer, type TestServer, type TestServerOptions } from './server.js'

/** A replica of a server, or of another replica, that is a real server itself. */
export function startReplica(primary: TestServer, options: TestServerOptions = {}, primaryUrl = primary.url): Promise<TestServer> {
  const { secretFile } = primary
  return startServer({
    ...options,
    follower: { firstPauseMs: 10, longestPauseMs: 100, ...options.follower },
    config: { role: 'replica', primaryUrl, secretFile, ...options.config },
  })
}

/** Resolves when a replica has every entry and secret that the primary has now. */
export async function caughtUp(replica: TestServer, primary: TestServer): Promise<void> {
  const { serial } = primary.running.storage.head
  await replica.running.storage.reached(toSerial(serial))
}
