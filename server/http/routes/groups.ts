import { type Request, type Response, Router } from 'express'
import type { GroupJson, ListedGroupJson } from '#log-format/api/groups.js'
import { keys } from '#log-format/keys.js'
import { ROOT_USER } from '#server/auth/caller.js'
import { createGroup, deleteGroup, type GroupRef, membersOf, modifyGroup, requireGroup } from '#server/commands/groups.js'
import { authorize } from '#server/commands/rights.js'
import type { Reader } from '#server/storage/reader.js'
import { callerAndOrigin, callerOf } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { wantedMembers, wantedSteps } from '../group-body.js'
import { readJson, readJsonObject } from '../json-body.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { groupPath } from '../params.js'
import { sendMessage, sendResult } from '../respond.js'
import { formatTime } from '../user-json.js'

/** Groups of users, for root and who manages the server alone. */
export function groupRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+groups{/}', { get: (req, res) => listGroups(deps, req, res) })
  mount(router, '/\\+groups/:group{/}', {
    get: (req, res) => showGroup(deps, req, res),
    put: (req, res) => putGroup(deps, req, res),
    patch: (req, res) => patchGroup(deps, req, res),
    delete: (req, res) => removeGroup(deps, req, res),
  })
  return router
}

async function listGroups(deps: Deps, req: Request, res: Response): Promise<void> {
  requireJson(req)
  const reader = await readerFor(deps, req, 'group-read')
  const groups: Record<string, ListedGroupJson> = {}
  for await (const { segments, value } of reader.scan(keys.group.under())) {
    const { group } = keys.group.params(segments)
    groups[group] = { name: group, created: formatTime(value.created) }
  }
  sendResult(res, { type: 'list:groupconfig', result: groups, serial: reader.serial })
}

async function showGroup(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = groupPath(req.params)
  requireJson(req)
  const reader = await readerFor(deps, req, 'group-read')
  sendResult(res, { type: 'groupconfig', result: await groupJson(reader, ref), serial: reader.serial })
}

async function putGroup(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = groupPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  await readerFor(deps, req, 'group-modify') // asked again in the transaction; strangers need not send a body
  const members = wantedMembers(await readJsonObject(req, deps.limits))
  const { serial } = await deps.storage.transact(origin, (tx) => createGroup(tx, { ...ref, caller, members }))
  sendResult(res, { type: 'groupconfig', result: await groupJson(deps.storage.reader(serial), ref), serial, status: 201 })
}

async function patchGroup(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = groupPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  await readerFor(deps, req, 'group-modify')
  const steps = wantedSteps(await readJson(req, deps.limits))
  const { serial } = await deps.storage.transact(origin, (tx) => modifyGroup(tx, { ...ref, caller, steps }))
  sendResult(res, { type: 'groupconfig', result: await groupJson(deps.storage.reader(serial), ref), serial })
}

async function removeGroup(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = groupPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const { serial } = await deps.storage.transact(origin, (tx) => deleteGroup(tx, { ...ref, caller }))
  sendMessage(res, serial, `group '${ref.group}' deleted`)
}

/** The head, for who may. */
async function readerFor(deps: Deps, req: Request, action: 'group-read' | 'group-modify'): Promise<Reader> {
  const caller = await callerOf(deps, req)
  const reader = deps.storage.reader()
  await authorize(reader, caller, action, { user: ROOT_USER })
  return reader
}

async function groupJson(reader: Reader, ref: GroupRef): Promise<GroupJson> {
  const { created } = await requireGroup(reader, ref)
  return { name: ref.group, created: formatTime(created), members: await membersOf(reader, ref) }
}
