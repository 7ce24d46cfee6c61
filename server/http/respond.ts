import { STATUS_CODES, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'
import type { ApiVersion, MessageEnvelope, ResultEnvelope, ResultType } from '#log-format/api/envelope.js'
import type { Serial } from '#log-format/serial.js'
import { JSON_TYPE } from './negotiate.js'

const API_VERSION: ApiVersion = '2'

/** What every reply says about the node that sends it. */
export interface NodeIdentity {
  readonly serverVersion: string
  /** 32 hex digits. */
  readonly uuid: string
  /** The same on the primary; empty on a replica that has not yet reached its primary. */
  readonly primaryUuid: string
  /** Of the newest entry here. */
  readonly epoch: number
}

/** Data, `type` saying of what shape. */
export interface ResultReply {
  readonly type: ResultType
  readonly result: unknown
  /** For people. */
  readonly message?: string
  /** The reply shows the state at this serial, or the one it wrote. */
  readonly serial: Serial
  /** 200 unless given. */
  readonly status?: number
}

/** Sets the headers that belong on every reply of the application, refusals and faults too; before anything is sent. */
export function setNodeHeaders(response: ServerResponse, node: NodeIdentity): void {
  const headers = nodeHeaders(node)
  for (let at = 0; at < headers.length; at += 2) response.setHeader(headers[at] ?? '', headers[at + 1] ?? '')
}

/** Those headers, names and values in turn. */
export function nodeHeaders(node: NodeIdentity): string[] {
  return [
    ...['X-DEVPI-API-VERSION', API_VERSION],
    ...['X-DEVPI-SERVER-VERSION', node.serverVersion],
    ...['X-DEVPI-UUID', node.uuid],
    ...['X-DEVPI-MASTER-UUID', node.primaryUuid],
    ...['X-DEVPI-PRIMARY-UUID', node.primaryUuid],
    ...['X-DEVPI-EPOCH', String(node.epoch)],
  ]
}

/** Says which serial the reply is about. A page that streams sets it before its first byte. */
export function setSerial(response: ServerResponse, serial: Serial): void {
  response.setHeader('X-DEVPI-SERIAL', String(serial))
}

export function sendResult(response: ServerResponse, reply: ResultReply): void {
  const { type, result, message, serial, status = 200 } = reply
  const envelope: ResultEnvelope = { type, result, ...(message === undefined ? {} : { message }) }
  setSerial(response, serial)
  sendJson(response, status, envelope)
}

export function sendMessage(response: ServerResponse, serial: Serial, message: string, status = 200): void {
  const envelope: MessageEnvelope = { message }
  setSerial(response, serial)
  sendJson(response, status, envelope)
}

/** Clients compare the type as a whole, so it has no parameters. */
export function sendJson(response: ServerResponse, status: number, value: object): void {
  sendBody(response, status, `${JSON.stringify(value)}\n`, { 'Content-Type': JSON_TYPE })
}

/** Sends a whole reply; HEAD gets the same headers and no body. */
export function sendBody(
  response: ServerResponse,
  status: number,
  body: string | Uint8Array,
  headers: OutgoingHttpHeaders,
): void {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
  response.writeHead(status, { ...headers, 'Content-Length': length })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

/**
 * A text fit for the status line, of Latin-1 that prints and 200 characters at most; the usual phrase of the
 * status when nothing is left. To be set as `statusMessage`.
 */
export function reasonPhrase(text: string, status: number): string {
  const phrase = text
    .replace(/\s+/g, ' ')
    .replace(/[^\x20-\x7e\xa1-\xff]/gu, '?')
    .trim()
    .slice(0, 200)
  return phrase === '' ? (STATUS_CODES[status] ?? 'Unknown') : phrase
}
