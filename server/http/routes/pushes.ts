import type { Request, Response } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { isKeySegment } from '#log-format/names.js'
import type { JsonValue } from '#log-format/values.js'
import type { Caller } from '#server/auth/caller.js'
import { findVersion, indexName, type IndexRef, requireIndex, type VersionRef } from '#server/commands/lookups.js'
import { asMirror } from '#server/commands/mirrors.js'
import { pushRelease, type PushRelease } from '#server/commands/pushes.js'
import { normalizeProjectName } from '#server/packaging/project-name.js'
import { authorizeRead } from '#server/commands/read-rights.js'
import { inheritedFrom } from '#server/stages/inherited-release.js'
import { openStage } from '#server/stages/open-stage.js'
import { callerAndOrigin } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { externalTargetOf, pushToServer } from '../external-push.js'
import { pushFromMirror } from '../mirror-push.js'
import { type JsonObject, readJsonObject } from '../json-body.js'
import { indexPath } from '../params.js'
import { sendResult } from '../respond.js'

const COMMON = ['name', 'version', 'no_docs', 'only_docs']
const INTERNAL: ReadonlySet<string> = new Set([...COMMON, 'targetindex'])
const EXTERNAL: ReadonlySet<string> = new Set([...COMMON, 'posturl', 'username', 'password', 'register_project'])

/** Copies a release from this index to another one, or sends it to another server (`spec/server-http.md` 9). */
export async function pushFromIndex(deps: Deps, request: Request, response: Response): Promise<void> {
  const source = indexPath(request.params)
  const { caller, origin } = await callerAndOrigin(deps, request)
  const reader = deps.storage.reader()
  const value = await requireIndex(reader, source)
  await authorizeRead(reader, reader, { ...source, value }, caller)

  const body = await readJsonObject(request, deps.limits)
  const mirror = asMirror({ ...source, value })
  const goesElsewhere = body['targetindex'] === undefined && body['posturl'] !== undefined
  const release = { ...releaseOf(body, source, goesElsewhere ? EXTERNAL : INTERNAL), caller }
  if (goesElsewhere) {
    const target = externalTargetOf(body)
    if (mirror === undefined) await refuseInherited(deps, release)
    await pushToServer(deps, response, { ...release, target, mirror })
    return
  }
  const input = { ...release, target: targetOf(body['targetindex']) }
  if (mirror !== undefined) {
    await pushFromMirror(deps, response, { push: { ...input, mirror }, origin })
    return
  }
  await refuseInherited(deps, release)
  const { result, serial } = await deps.storage.transact(origin, (tx) => pushRelease(tx, input))
  sendResult(response, { type: 'actionlog', result, serial })
}

/** Refuses `invalid`, naming where it comes from, a release that the index only inherits: pushed is what an index has itself. */
async function refuseInherited(deps: Deps, { caller, ...ref }: VersionRef & { readonly caller: Caller }): Promise<void> {
  const reader = deps.storage.reader()
  if ((await findVersion(reader, ref)) !== undefined) return
  const from = await inheritedFrom(await openStage({ reader, current: reader, ref, caller, now: deps.now() }), ref)
  if (from === undefined) return // who looks for it in the index itself says so
  throw new Refusal('invalid', `there are no files for ${ref.project} ${ref.version} on stage ${indexName(ref)}; it inherits them from ${indexName(from)}: push them from there`)
}

/** What is pushed, out of the body. Refuses `invalid`, also for keys that are not among `options`. */
function releaseOf(body: JsonObject, source: IndexRef, options: ReadonlySet<string>): Omit<PushRelease, 'caller' | 'target'> {
  const name = requireText(body, 'name')
  const version = requireText(body, 'version')
  const docs = docsOf(body)
  const unknown = Object.keys(body).filter((key) => !options.has(key)).sort()
  if (unknown.length > 0) throw new Refusal('invalid', `unknown additional options: ${unknown.join(', ').slice(0, 200)}`)
  if (!isKeySegment(version)) {
    throw new Refusal('invalid', `there are no files for ${name} ${version} on stage ${indexName(source)}`)
  }
  return { ...source, project: normalizeProjectName(name), version, docs }
}

function requireText(body: JsonObject, key: string): string {
  const value = body[key]
  if (typeof value === 'string' && value !== '') return value
  throw new Refusal('invalid', `a push needs the ${key} of a release, as a text`)
}

function docsOf(body: JsonObject): PushRelease['docs'] {
  const [without, only] = [flagOf(body, 'no_docs'), flagOf(body, 'only_docs')]
  if (without && only) throw new Refusal('invalid', "can't use 'no_docs' and 'only_docs' together")
  return without ? 'without' : only ? 'only' : 'with'
}

function flagOf(body: JsonObject, key: string): boolean {
  const value = body[key] ?? false
  if (typeof value !== 'boolean') throw new Refusal('invalid', `${key} must be true or false`)
  return value
}

/** `user/index`, without a slash in front. */
function targetOf(value: JsonValue | undefined): IndexRef {
  if (value === undefined) throw new Refusal('invalid', 'a push needs a targetindex')
  const [user = '', index = '', ...rest] = typeof value === 'string' ? value.split('/') : []
  const wellFormed = rest.length === 0 && [user, index].every((name) => isKeySegment(name) && !name.includes('+'))
  if (!wellFormed) throw new Refusal('invalid', 'targetindex not in format user/index')
  return { user, index }
}
