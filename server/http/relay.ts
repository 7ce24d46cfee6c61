import type { RequestHandler } from 'express'
import { Refusal } from '#log-format/api/refusal.js'

/** Sends a request of a replica to its primary and passes the answer on. */
export type Relay = RequestHandler

/** Whether a request may be answered from what is here: on a replica, all others are for the primary, logins too. */
export function isRead(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}

/** For a replica that has no way to the primary. */
export const refuseChanges: Relay = () => {
  throw new Refusal('not-available', 'this server is a replica, which only reads; send changes and logins to its primary', {
    headers: { 'Retry-After': '60' },
  })
}
