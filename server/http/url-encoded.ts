import type { IncomingMessage } from 'node:http'
import { Refusal } from '#log-format/api/refusal.js'
import type { Form, FormOptions } from './form.js'
import { BodyFeed } from './request-body.js'

type FieldLimits = Pick<FormOptions<AsyncDisposable>, 'maxFields' | 'maxFieldBytes' | 'maxTotalFieldBytes' | 'idleTimeoutMs' | 'signal'>
type Fields = Form<never>['fields']

/** Reads an `application/x-www-form-urlencoded` body, as `setup.py register` may send it. */
export async function readUrlEncoded(req: IncomingMessage, limits: FieldLimits): Promise<Fields> {
  const { maxTotalFieldBytes: maxBytes, idleTimeoutMs, signal } = limits
  const chunks: Buffer[] = []
  let finish: () => void = () => undefined
  let fail: (reason: unknown) => void = () => undefined
  const complete = new Promise<void>((resolve, reject) => {
    finish = resolve
    fail = reject
  })
  using _feed = new BodyFeed(
    req,
    { maxBytes, idleTimeoutMs, ...(signal && { signal }) },
    { write: (chunk) => chunks.push(chunk) > 0, end: finish, fail },
  )
  await complete
  return parseUrlEncoded(Buffer.concat(chunks).toString('latin1'), limits)
}

function parseUrlEncoded(text: string, { maxFields, maxFieldBytes }: FieldLimits): Fields {
  const pairs = text.split('&').filter((pair) => pair !== '')
  if (pairs.length > maxFields) throw new Refusal('too-large', `the form has more than ${maxFields} fields`)
  return pairs.map((pair) => {
    const at = pair.indexOf('=')
    const name = decodeFormText(at === -1 ? pair : pair.slice(0, at))
    const value = at === -1 ? '' : decodeFormText(pair.slice(at + 1))
    if (Buffer.byteLength(value) > maxFieldBytes) throw new Refusal('too-large', `the form field ${JSON.stringify(name)} is too long`)
    return [name, value]
  })
}

/** Percent-decodes UTF-8, with `+` for a space (WHATWG URL 5.1); unlike there, invalid bytes are refused. */
function decodeFormText(text: string): string {
  if (/[^\x20-\x7e]/u.test(text)) throw new Refusal('invalid', 'the form is not percent-encoded')
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    throw new Refusal('invalid', 'the form is not percent-encoded UTF-8', { cause: error })
  }
}
