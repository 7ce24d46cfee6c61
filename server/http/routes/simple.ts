import { Router, type Request, type RequestHandler, type Response } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { Serial } from '#log-format/serial.js'
import { type IndexRef, indexName, type ProjectRef } from '#server/commands/lookups.js'
import { type OpenStage, openStage } from '#server/stages/open-stage.js'
import { callerOf } from '../authenticate.js'
import { askForLists, type AskedMirrors, askUpstreams, renewUpstreams, type UpstreamLists, type UpstreamsState } from '../ask-upstreams.js'
import { etagMatches, PAGE_CACHE_CONTROL, POLICY_HEADER, stalePageHeaders } from '../caching.js'
import type { Deps } from '../deps.js'
import { mount } from '../methods.js'
import { negotiateSimple, SIMPLE_VARY, type SimpleAnswer, wantsJson } from '../negotiate.js'
import { indexPath, projectPath } from '../params.js'
import { pastSerial } from '../past-serial.js'
import { streamProjectList } from '../project-list.js'
import type { LinkBase } from '../project-page.js'
import { endWith } from '../page-body.js'
import { redirectTo } from '../redirect.js'
import { setSerial } from '../respond.js'
import { joinUrl, linkPrefix, relativeUrl, wantsAbsoluteUrls } from '../urls.js'

/** Attempts to open a stage whose settings somebody changes all the time. */
const ATTEMPTS = 10

/**
 * The simple repository API: `+simple` and `simple` of every index, now and at
 * any past serial. `list` and `page` also answer installers that were given
 * the URL of an index itself.
 */
export interface SimpleRoutes {
  readonly router: Router
  readonly list: RequestHandler
  readonly page: RequestHandler
}

export function simpleRoutes(deps: Deps): SimpleRoutes {
  const router = Router({ caseSensitive: true, strict: true })
  const list: RequestHandler = (req, res) => sendList(deps, req, res, undefined)
  const page: RequestHandler = (req, res) => sendPage(deps, req, res, undefined)

  for (const simple of ['\\+simple', 'simple']) {
    const root = `/:user/:index/${simple}`
    if (simple === '\\+simple') mount(router, root, { get: withSlash(deps, list) })
    mount(router, `${root}/`, { get: list })
    mount(router, `${root}/:project/`, { get: page })
    if (simple === '\\+simple') {
      mount(router, `${root}/:project`, { get: withSlash(deps, page) })
      mount(router, `${root}/:project/refresh`, { post: (req, res) => refresh(deps, req, res) })
    } else {
      // Who asks for JSON means version `:project` of a project that is called simple.
      router
        .route(`${root}/:project`)
        .get((req, res, next) => (wantsJson(req) ? next() : withSlash(deps, page)(req, res, next)))
        .all((_req, _res, next) => next()) // or Express would answer OPTIONS by itself
    }
    const past = `/:user/:index/\\+at/:serial/${simple}`
    mount(router, `${past}{/}`, { get: withSlash(deps, (req, res) => sendList(deps, req, res, pastSerial(deps, req))) })
    mount(router, `${past}/:project{/}`, {
      get: withSlash(deps, (req, res) => sendPage(deps, req, res, pastSerial(deps, req))),
    })
  }
  return { router, list, page }
}

/** People are led to the address with a slash behind it, where relative links are shorter; installers need not go there. */
function withSlash(deps: Deps, handler: RequestHandler): RequestHandler {
  return async (req, res, next) => {
    const answer = negotiate(req)
    if (req.path.endsWith('/') || answer.installer || answer.spelling === 'json') {
      await handler(req, res, next)
      return
    }
    const project = req.params['project'] === undefined ? [] : [projectPath(req.params).project]
    if (project.length > 0) checkAscii(req)
    res.vary(SIMPLE_VARY)
    redirectTo(deps, req, res, `${joinUrl('', ...folderOf(req), ...project)}/`);
  }
}

/** The address of the list that the request is about or below, in segments. */
function folderOf(req: Request): string[] {
  const { user, index } = indexPath(req.params)
  const { serial } = req.params
  const simple = req.path.split('/')[serial === undefined ? 3 : 5] === 'simple' ? 'simple' : '+simple'
  return serial === undefined ? [user, index, simple] : [user, index, '+at', String(serial), simple]
}

async function sendList(deps: Deps, req: Request, res: Response, serial: Serial | undefined): Promise<void> {
  const answer = negotiate(req)
  let upstreams: UpstreamLists = { names: new Map(), digests: [], failure: undefined }
  const { stage, result } = await withStage(deps, req, indexPath(req.params), serial, async (opened) => {
    if (serial !== undefined) return deps.pages.pastListEtag(opened, answer)
    upstreams = await askForLists(deps, opened)
    return deps.pages.listEtag(opened, answer, upstreams.digests)
  })
  const { etag } = result
  setPageHeaders(res, { serial: stage.reader.serial, etag, contentType: answer.contentType })
  if (upstreams.failure !== undefined) setHeaders(res, stalePageHeaders(deps.now()))
  if (etagMatches(req.headers['if-none-match'], etag)) return void res.status(304).end()
  res.status(200)
  if (req.method === 'HEAD') return void res.end()
  await streamProjectList(res, stage, { spelling: answer.spelling === 'json' ? 'json' : 'html', upstreams: upstreams.names })
}

async function sendPage(deps: Deps, req: Request, res: Response, serial: Serial | undefined): Promise<void> {
  checkAscii(req)
  const answer = negotiate(req)
  const ref = projectPath(req.params)
  if (req.params['project'] !== ref.project) { redirectToNormal(deps, req, res, ref); return; }

  const links = linkBase(deps, req, ref, serial)
  const asked: AskedMirrors = new Map()
  let upstreams: UpstreamsState | undefined
  const { result: page } = await withStage(deps, req, ref, serial, async (opened) => {
    const input = { stage: opened, project: ref.project, links, answer }
    if (serial !== undefined) return deps.pages.pageAt(input)
    upstreams = await askUpstreams(deps, opened, ref.project, asked)
    return deps.pages.page(req, { ...input, freshUntil: upstreams.freshUntil })
  })
  if (page === undefined && upstreams?.failure !== undefined) throw upstreams.failure
  if (page === undefined) throw new Refusal('not-found', `The project ${ref.project} does not exist.`)
  setPageHeaders(res, page)
  if (page.policy !== undefined) res.setHeader(POLICY_HEADER, page.policy)
  if (upstreams?.failure !== undefined) setHeaders(res, stalePageHeaders(deps.now()))
  if (etagMatches(req.headers['if-none-match'], page.etag)) return void res.status(304).end()
  res.writeHead(200, { 'Content-Length': page.body.length })
  endWith(res, page.body)
}

/** Opens the stage, anew when its settings changed before the answer was found. */
async function withStage<T extends object | undefined>(
  deps: Deps,
  req: Request,
  ref: IndexRef,
  serial: Serial | undefined,
  find: (stage: OpenStage) => Promise<T | 'outdated'>,
): Promise<{ readonly stage: OpenStage; readonly result: T }> {
  const caller = await callerOf(deps, req)
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const current = deps.storage.reader()
    const reader = serial === undefined ? current : deps.storage.reader(serial)
    const stage = await openStage({ reader, current, ref, caller, now: deps.now() })
    const result = await find(stage)
    if (result !== 'outdated') return { stage, result }
  }
  throw new Refusal('not-available', `the settings of ${indexName(ref)} change faster than they can be read; try again`)
}

function setPageHeaders(res: Response, page: { readonly serial: Serial; readonly etag: string; readonly contentType: string }): void {
  setSerial(res, page.serial)
  res.setHeader('Content-Type', page.contentType)
  res.setHeader('ETag', page.etag)
  res.setHeader('Cache-Control', PAGE_CACHE_CONTROL)
  res.setHeader('Vary', SIMPLE_VARY)
}

/** HTML for who accepts nothing that we have: a page with a wrong type helps more than none. */
function negotiate(req: Request): SimpleAnswer {
  const answer = negotiateSimple(req)
  return answer === 'not-acceptable' ? FALLBACK : answer
}

const FALLBACK: SimpleAnswer = { spelling: 'html-legacy', contentType: 'text/html; charset=UTF-8', installer: false }

function linkBase(deps: Deps, req: Request, ref: ProjectRef, serial: Serial | undefined): LinkBase {
  const past = serial === undefined ? [] : ['+at', String(serial)]
  const folder = ({ user, index }: IndexRef): string => `${joinUrl('', user, index, ...past)}/`
  if (wantsAbsoluteUrls(req)) {
    const { base } = deps.outsideUrl(req)
    return { key: base, folderUrl: (index) => base + folder(index) }
  }
  const page = joinUrl('', ...pagePath(req, ref))
  const path = req.path.endsWith('/') ? `${page}/` : page
  return {
    key: path,
    folderUrl: (index) => (serial === undefined ? linkPrefix(path, index.user, index.index) : relativeUrl(path, folder(index))),
  }
}

/** The segments of the address of a project page, which may also be that of the project itself. */
function pagePath(req: Request, ref: ProjectRef): string[] {
  const isBare = req.params['serial'] === undefined && req.path.split('/').filter((part) => part !== '').length === 3
  return isBare ? [ref.user, ref.index, ref.project] : [...folderOf(req), ref.project]
}

function redirectToNormal(deps: Deps, req: Request, res: Response, ref: ProjectRef): void {
  res.vary(SIMPLE_VARY)
  redirectTo(deps, req, res, joinUrl('', ...pagePath(req, ref)) + (req.path.endsWith('/') ? '/' : ''))
}

function checkAscii(req: Request): void {
  const { project } = req.params
  if (typeof project === 'string' && /[^\x00-\x7f]/.test(project)) {
    throw new Refusal('invalid', 'unicode project names not allowed')
  }
}

function setHeaders(res: Response, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
}

/** Has the mirrors of a stage ask their upstreams again. What is stored stays when one of them fails. */
async function refresh(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = projectPath(req.params)
  const reader = deps.storage.reader()
  const stage = await openStage({ reader, current: reader, ref, caller: await callerOf(deps, req), now: deps.now() })
  await renewUpstreams(deps, stage, ref.project)
  redirectTo(deps, req, res, `${joinUrl('', ref.user, ref.index, '+simple', ref.project)}/`)
}
