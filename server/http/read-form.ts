import type { IncomingMessage } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import type { Form, FormOptions } from './form.js'
import { parseParameterized } from './header-params.js'
import { readMultipart } from './multipart.js'
import { bodyTooLarge } from './request-body.js'
import { readUrlEncoded } from './url-encoded.js'

/**
 * Reads a form with any number of fields and at most one file, in any order,
 * holding only the fields in memory. Refuses `invalid`, `too-large` and
 * `unsupported-media-type`; rejects with an `AbortError` when the client goes
 * away. After a rejection the request is paused with its rest unread, which
 * is for `drainOrClose`.
 */
export async function readForm<F extends AsyncDisposable>(req: IncomingMessage, options: FormOptions<F>): Promise<Form<F>> {
  const coding = req.headers['content-encoding']
  if (coding !== undefined && coding !== 'identity') {
    throw new Refusal('unsupported-media-type', 'the request body is compressed; send it as it is, without Content-Encoding')
  }
  if (Number(req.headers['content-length'] ?? 0) > options.maxBodyBytes) throw bodyTooLarge(options.maxBodyBytes)
  const type = parseParameterized(req.headers['content-type'] ?? '')
  switch (type?.value) {
    case 'multipart/form-data':
      return readMultipart(req, checkedBoundary(type.params.get('boundary')), options)
    case 'application/x-www-form-urlencoded':
      return { fields: await readUrlEncoded(req, options), file: undefined }
    default:
      throw new Refusal('unsupported-media-type', 'this address takes a form; send it as multipart/form-data')
  }
}

/** RFC 2046 5.1.1. */
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/

function checkedBoundary(boundary: string | undefined): string {
  if (boundary !== undefined && BOUNDARY.test(boundary)) return boundary
  throw new Refusal('invalid', 'the Content-Type of the form has no valid boundary')
}
