import { type Request, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { PolicySimulationJson, SimulatedProjectJson } from '#log-format/api/why.js'
import type { JsonValue } from '#log-format/values.js'
import { changedPolicy } from '#server/commands/index-settings.js'
import { normalizeProjectName, projectNameFault } from '#server/packaging/project-name.js'
import { explain } from '#server/stages/explain.js'
import { knownNames } from '#server/stages/listed-names.js'
import { openStage, type OpenStage } from '#server/stages/open-stage.js'
import { simulatePolicy } from '#server/stages/simulate-policy.js'
import { type AskedMirrors, askUpstreams } from '../ask-upstreams.js'
import { callerOf } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { readJsonObject } from '../json-body.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { indexPath, projectPath } from '../params.js'
import { sendResult } from '../respond.js'

/** What one request may cost. */
const MOST_PROJECTS = 500
const MOST_FILES = 50_000
const MOST_NAMED = 1000

/** Why a page is as it is, and what a policy would do to pages. */
export function policyRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/:user/:index/\\+why/:project{/}', { get: (req, res) => showWhy(deps, req, res) })
  mount(router, '/:user/:index/\\+policy-simulate', { post: (req, res) => simulate(deps, req, res) })
  return router
}

/** Asks the upstreams that the page of the project would ask, and no others. */
async function showWhy(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = projectPath(req.params)
  requireJson(req)
  const fault = projectNameFault(ref.project)
  if (fault !== undefined) throw new Refusal('invalid', fault)
  const caller = await callerOf(deps, req)
  const open = (): Promise<OpenStage> => {
    const reader = deps.storage.reader()
    return openStage({ reader, current: reader, ref, caller, now: deps.now() })
  }
  const asked: AskedMirrors = new Map()
  await askUpstreams(deps, await open(), ref.project, asked)
  const stage = await open() // with what they said
  sendResult(res, { type: 'why', result: await explain(stage, ref.project, asked), serial: stage.reader.serial })
}

async function simulate(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = indexPath(req.params)
  const caller = await callerOf(deps, req)
  const reader = deps.storage.reader()
  const now = deps.now()
  const stage = await openStage({ reader, current: reader, ref, caller, now })
  const { projects, after, ...options } = await readJsonObject(req, deps.limits)
  const names = projects === undefined ? knownNames(stage) : namesIn(projects)
  const settings = changedPolicy(stage.value, options)
  const start = after === undefined || after === null ? '' : nameIn(after)

  const changed: SimulatedProjectJson[] = []
  const looked = { projects: 0, files: 0, hides: 0 }
  let [next, last]: [string | null, string] = [null, '']
  for await (const name of names) {
    if (name <= start) continue
    if (looked.projects >= MOST_PROJECTS || looked.files >= MOST_FILES || res.destroyed) {
      next = last
      break
    }
    last = name
    const found = await simulatePolicy(stage, name, settings, now)
    looked.projects += 1
    looked.files += found.looked
    looked.hides += found.project.hides
    if (found.project.hides + found.project.shows > 0) changed.push(found.project)
  }
  const result: PolicySimulationJson = { projects: changed, looked, next }
  sendResult(res, { type: 'policysimulation', result, serial: reader.serial })
}

function namesIn(projects: JsonValue): readonly string[] {
  if (!Array.isArray(projects)) throw new Refusal('invalid', 'projects must be a list of names')
  if (projects.length > MOST_NAMED) throw new Refusal('invalid', `projects may have ${MOST_NAMED} names at most`)
  return [...new Set(projects.map(nameIn))].sort()
}

function nameIn(value: JsonValue): string {
  const name = typeof value === 'string' ? normalizeProjectName(value) : ''
  if (projectNameFault(name) !== undefined) throw new Refusal('invalid', 'projects and after must be names of projects')
  return name
}
