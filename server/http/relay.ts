import type { RequestHandler } from 'express'

/** Sends a request of a replica to its primary and passes the answer on. */
export type Relay = RequestHandler

/** Whether a request may be answered from what is here: on a replica, all others are for the primary, logins too. */
export function isRead(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}
