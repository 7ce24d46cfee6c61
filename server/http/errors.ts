import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { MessageEnvelope, StatusEnvelope } from '#log-format/api/envelope.js'
import type { Refusal, RefusalKind } from '#log-format/api/refusal.js'
import { html } from '#server/packaging/html.js'
import { HTML_TYPE, JSON_TYPE, preferredType, wantsJson } from './negotiate.js'
import { reasonPhrase, sendBody } from './respond.js'

/** The one place where a kind becomes a status: a new kind does not compile until it has one. */
export const STATUS: Record<RefusalKind, number> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  'method-not-allowed': 405,
  conflict: 409,
  gone: 410,
  'too-large': 413,
  'unsupported-media-type': 415,
  'range-not-satisfiable': 416,
  'too-many-requests': 429,
  'upstream-failed': 502,
  'not-available': 503,
  'storage-full': 507,
}

export interface RefusalReplyOptions {
  /** For the routes of the API, whose clients read JSON without asking for it; otherwise `Accept` decides. */
  readonly always?: 'json'
}

/** Answers with a refusal in the wording of its form. Sent too late, in the middle of a reply, it cuts the connection. */
export function sendRefusal(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Refusal,
  options: RefusalReplyOptions = {},
): void {
  if (response.headersSent) return void response.destroy()
  const status = STATUS[refusal.kind]
  const { message, form } = refusal
  const phrase = form === 'reason' ? reasonPhrase(message, status) : usualPhrase(status)
  response.statusMessage = phrase
  for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value)
  // The rest of the body would be read to its end before the connection could serve again.
  if (refusal.kind === 'too-large') response.setHeader('Connection', 'close')
  sendError(response, { status, phrase, message, form }, options.always ?? bodyFor(request, form))
}

/** Answers 500. `faultId` stands beside the fault in the log; nothing else of it leaves the server. */
export function sendFault(request: IncomingMessage, response: ServerResponse, faultId: string): void {
  if (response.headersSent) return void response.destroy()
  const message = `the server failed; its log has the details under ${faultId}`
  const phrase = usualPhrase(500)
  response.statusMessage = phrase
  sendError(response, { status: 500, phrase, message, form: 'message' }, bodyFor(request, 'message'))
}

type ErrorBody = 'json' | 'page' | 'text'

interface ErrorReply {
  readonly status: number
  readonly phrase: string
  readonly message: string
  readonly form: Refusal['form']
}

/**
 * `message`: JSON for who names it, a page for all others, as installers stumble over plain text.
 * The other forms: a page or JSON for who accepts them, text for all others and without `Accept`.
 */
function bodyFor(request: IncomingMessage, form: Refusal['form']): ErrorBody {
  if (form === 'message') return wantsJson(request) ? 'json' : 'page'
  const { accept } = request.headers
  if (accept === undefined) return 'text'
  if (preferredType(accept, [HTML_TYPE]) !== undefined) return 'page'
  return preferredType(accept, [JSON_TYPE]) === undefined ? 'text' : 'json'
}

function sendError(response: ServerResponse, error: ErrorReply, body: ErrorBody): void {
  const { status } = error
  if (!response.hasHeader('Cache-Control')) response.setHeader('Cache-Control', 'no-store')
  if (body === 'json') {
    sendBody(response, status, `${JSON.stringify(errorJson(error))}\n`, { 'Content-Type': JSON_TYPE })
  } else if (body === 'page') {
    sendBody(response, status, errorPage(error), PAGE_HEADERS)
  } else {
    sendBody(response, status, errorText(error), TEXT_HEADERS)
  }
}

function errorJson({ status, phrase, message, form }: ErrorReply): MessageEnvelope | StatusEnvelope {
  return form === 'message' ? { message } : { message, code: `${status} ${phrase}`, title: phrase }
}

function errorPage({ status, message }: ErrorReply): string {
  const title = `${status} ${usualPhrase(status)}`
  return (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">' +
    html`<title>${title}</title></head><body><h1>${title}</h1><p>${message}</p></body></html>` +
    '\n'
  )
}

function errorText({ status, message }: ErrorReply): string {
  return `${status} ${usualPhrase(status)}\n\n${message}\n`
}

/** An error page shows text and nothing else. */
const PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=UTF-8',
  'Content-Security-Policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
} as const

const TEXT_HEADERS = {
  'Content-Type': 'text/plain; charset=UTF-8',
  'X-Content-Type-Options': 'nosniff',
} as const

/** The phrase of 413 is the one that clients of the reference print. */
function usualPhrase(status: number): string {
  return status === 413 ? 'Request Entity Too Large' : (STATUS_CODES[status] ?? 'Unknown')
}
