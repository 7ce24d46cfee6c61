import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { Refusal } from '#log-format/api/refusal.js'
import type { ServerConfig } from './config.js'

/** Running requests have this long to end when the server stops. */
const STOP_TIMEOUT_MS = 30_000
const STOP_CHECK_MS = 50

/** Refuses an address that cannot be listened on in a sentence. */
export function listen(server: Server, { host, port }: ServerConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') {
        reject(new Refusal('conflict', `port ${port} of ${host} is in use; choose another --port, or 0 for a free one`, { cause: error }))
      } else if (error.code === 'EACCES' || error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') {
        reject(new Refusal('invalid', `cannot listen on ${host} port ${port} (${error.code}); choose another --host or --port`, { cause: error }))
      } else {
        reject(error)
      }
    })
    server.listen(port, host, resolve)
  })
}

/** Connections on which nothing was sent yet, as browsers open them in advance. */
export function unusedConnections(server: Server): () => readonly Socket[] {
  const open = new Set<Socket>()
  server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return () => [...open].filter(({ bytesRead }) => bytesRead === 0)
}

/** Takes no more connections, lets requests end, and cuts what does not end. */
export async function stop(server: Server, unused: () => readonly Socket[]): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => { resolve() }))
  server.closeIdleConnections()
  for (const socket of unused()) socket.destroy() // Node does not count them as idle
  // A connection whose request ends now is kept open for a next one, which nobody would answer.
  const idle = setInterval(() => { server.closeIdleConnections() }, STOP_CHECK_MS)
  const timer = setTimeout(() => { server.closeAllConnections() }, STOP_TIMEOUT_MS)
  await closed
  clearInterval(idle)
  clearTimeout(timer)
}
