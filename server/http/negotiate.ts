import type { IncomingHttpHeaders } from 'node:http'

export const JSON_TYPE = 'application/json'
export const EVENT_STREAM_TYPE = 'text/event-stream'
export const HTML_TYPE = 'text/html'
export const SIMPLE_JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
export const SIMPLE_HTML_TYPE = 'application/vnd.pypi.simple.v1+html'

/** What the answer of a negotiated page depends on; its `Vary`. */
export const SIMPLE_VARY = 'Accept, User-Agent'

export interface RequestHeaders {
  readonly headers: IncomingHttpHeaders
}

/** Both HTML spellings have the same bytes and differ in their type: `html-legacy` is `text/html`. */
export type SimpleSpelling = 'html' | 'html-legacy' | 'json'

export interface SimpleAnswer {
  readonly spelling: SimpleSpelling
  /** Value of `Content-Type`. PEP 691: names the version also where `latest` was asked for. */
  readonly contentType: string
  /** An installer gets pages without the parts meant for people, and no redirects. */
  readonly installer: boolean
}

/**
 * Which spelling of a simple page the client wants (PEP 691). On equal q-values HTML wins, `text/html` first, as it does
 * without `Accept`. `not-acceptable`: none was named, as with `Accept: application/json`.
 */
export function negotiateSimple(request: RequestHeaders): SimpleAnswer | 'not-acceptable' {
  const { accept, 'user-agent': userAgent } = request.headers
  const answers = simpleAnswers(accept ?? '*/*')
  if (answers === 'not-acceptable') return answers
  return answers[userAgent !== undefined && isInstallerAgent(userAgent) ? 'installer' : 'person']
}

/** Whether the request comes from an installer: some URLs answer it with simple pages instead of JSON. */
export function isInstaller(request: RequestHeaders): boolean {
  const userAgent = request.headers['user-agent']
  return userAgent !== undefined && isInstallerAgent(userAgent)
}

/** The test of API replies and refusals: JSON is named at all, whatever its q-value. */
export function wantsJson(request: RequestHeaders): boolean {
  return request.headers.accept?.includes(JSON_TYPE) ?? false
}

/**
 * The offered media type with the highest q-value (RFC 9110, 12.5.1), the first of them on a tie; undefined if none is
 * acceptable. The most specific range decides about an offer. An absent or empty `Accept` accepts everything.
 */
export function preferredType<T extends string>(accept: string | undefined, offers: readonly T[]): T | undefined {
  const ranges = parseAccept(accept ?? '')
  let best: T | undefined
  let bestQuality = 0
  for (const offer of offers) {
    const quality = qualityOf(offer, ranges)
    if (quality > bestQuality) {
      best = offer
      bestQuality = quality
    }
  }
  return best
}

interface SimpleAnswers {
  readonly person: SimpleAnswer
  readonly installer: SimpleAnswer
}

const HTML_LEGACY_ANSWERS = answersOf('html-legacy', `${HTML_TYPE}; charset=UTF-8`)
const HTML_ANSWERS = answersOf('html', `${SIMPLE_HTML_TYPE}; charset=UTF-8`)
const JSON_ANSWERS = answersOf('json', SIMPLE_JSON_TYPE)

const SIMPLE_OFFERS = {
  [HTML_TYPE]: HTML_LEGACY_ANSWERS,
  [SIMPLE_HTML_TYPE]: HTML_ANSWERS,
  'application/vnd.pypi.simple.latest+html': HTML_ANSWERS,
  [SIMPLE_JSON_TYPE]: JSON_ANSWERS,
  'application/vnd.pypi.simple.latest+json': JSON_ANSWERS,
} as const

const SIMPLE_TYPES = Object.keys(SIMPLE_OFFERS) as (keyof typeof SIMPLE_OFFERS)[]

function answersOf(spelling: SimpleSpelling, contentType: string): SimpleAnswers {
  return {
    person: { spelling, contentType, installer: false },
    installer: { spelling, contentType, installer: true },
  }
}

const simpleAnswers = remember((accept: string): SimpleAnswers | 'not-acceptable' => {
  const type = preferredType(accept, SIMPLE_TYPES)
  return type === undefined ? 'not-acceptable' : SIMPLE_OFFERS[type]
})

/** The product stands at the start or after a space: `twine/5 pip/1` is an installer, `pipx/1` is not. */
const INSTALLER = /(^| )(distribute|setuptools|pip|pex|uv)\//

const isInstallerAgent = remember((userAgent: string) => INSTALLER.test(userAgent))

/** Values of these two headers come from a handful of programs, so both verdicts are looked up, not worked out. */
const REMEMBERED = 500
const LONGEST_REMEMBERED = 1_000

/** A pure function that keeps its latest results, in bounded memory whatever strangers send. */
function remember<V>(workOut: (text: string) => V): (text: string) => V {
  const known = new Map<string, V>()
  return (text) => {
    const hit = known.get(text)
    if (hit !== undefined) return hit
    const result = workOut(text)
    if (text.length > LONGEST_REMEMBERED) return result
    if (known.size >= REMEMBERED) known.clear()
    known.set(text, result)
    return result
  }
}

interface MediaRange {
  readonly range: string
  readonly quality: number
}

function parseAccept(accept: string): readonly MediaRange[] {
  if (accept.trim() === '') return [{ range: '*/*', quality: 1 }]
  return accept.split(',').map((element) => {
    const [range = '', ...parameters] = element.split(';')
    return { range: range.trim().toLowerCase(), quality: parseQuality(parameters) }
  })
}

/** RFC 9110, 12.4.2: 0 to 1, with three digits at most; 1 when it is not given, 0 when it is nonsense. */
function parseQuality(parameters: readonly string[]): number {
  const stated = parameters.map((parameter) => parameter.trim()).find((parameter) => /^q\s*=/i.test(parameter))
  if (stated === undefined) return 1
  const value = stated.slice(stated.indexOf('=') + 1).trim()
  return /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(value) ? Number(value) : 0
}

function qualityOf(type: string, ranges: readonly MediaRange[]): number {
  const group = `${type.slice(0, type.indexOf('/'))}/*`
  for (const wanted of [type, group, '*/*']) {
    const match = ranges.find(({ range }) => range === wanted)
    if (match !== undefined) return match.quality
  }
  return 0
}
