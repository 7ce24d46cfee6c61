import { type Request, type Response, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import { keys } from '#log-format/keys.js'
import { checkUserName } from '#log-format/names.js'
import type { JsonValue } from '#log-format/values.js'
import { type Caller, ROOT_USER } from '#server/auth/caller.js'
import { isPasswordVerifier } from '#server/auth/passwords.js'
import { createUserSecret, userSecretOf } from '#server/auth/user-secret.js'
import { requireUser } from '#server/commands/lookups.js'
import { authorize } from '#server/commands/rights.js'
import { createUser, deleteUser, modifyUser, type UserFields, type Verifier } from '#server/commands/users.js'
import { callerAndOrigin, callerOf } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { type JsonObject, readJsonObject } from '../json-body.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { userPath } from '../params.js'
import { sendMessage, sendResult } from '../respond.js'
import { userJson } from '../user-json.js'

/** Fields that are stored, and those that clients send back although they are not theirs to set. */
const FIELDS = new Set(['email', 'title', 'description', 'custom_data'])
const TOLERATED = new Set(['indexes', 'created', 'modified', 'username', 'pwsalt'])

/** Users, and the list of all of them. */
export function userRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/', { get: (req, res) => listUsers(deps, req, res) })
  mount(router, '/:user{/}', {
    get: (req, res) => showUser(deps, req, res),
    put: (req, res) => putUser(deps, req, res),
    patch: (req, res) => patchUser(deps, req, res),
    delete: (req, res) => removeUser(deps, req, res),
  })
  return router
}

async function listUsers(deps: Deps, req: Request, res: Response): Promise<void> {
  requireJson(req)
  const caller = await callerOf(deps, req)
  const reader = deps.storage.reader()
  const users: Record<string, JsonValue> = {}
  for await (const { segments, value } of reader.scan(keys.user.under())) {
    const ref = keys.user.params(segments)
    users[ref.user] = await userJson(reader, ref, value, caller)
  }
  sendResult(res, { type: 'list:userconfig', result: users, serial: reader.serial })
}

async function showUser(deps: Deps, req: Request, res: Response): Promise<void> {
  const ref = userPath(req.params)
  requireJson(req)
  const caller = await callerOf(deps, req)
  const reader = deps.storage.reader()
  const result = await userJson(reader, ref, await requireUser(reader, ref), caller)
  sendResult(res, { type: 'userconfig', result, serial: reader.serial })
}

async function putUser(deps: Deps, req: Request, res: Response): Promise<void> {
  const { user } = userPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  // Asked again in the transaction; here it keeps strangers from making the server hash passwords for nothing.
  await authorize(deps.storage.reader(), caller, 'user-create', { user })
  if ((await deps.storage.reader().get(keys.user({ user }))) !== undefined) {
    throw new Refusal('conflict', 'user already exists')
  }
  const body = await readJsonObject(req, deps.limits)
  if (!Object.hasOwn(body, 'password') && !Object.hasOwn(body, 'pwhash')) {
    throw new Refusal('invalid', 'password needs to be set')
  }
  const unknown = Object.keys(body).filter((key) => !FIELDS.has(key) && !TOLERATED.has(key) && key !== 'password' && key !== 'pwhash')
  if (unknown.length > 0) throw new Refusal('invalid', `Unknown keys in user config: ${unknown.join(', ')}`)
  checkUserName(user)

  const verifier = await verifierOf(deps, caller, body)
  const { serial } = await deps.storage.transact(origin, (tx) =>
    createUser(tx, { caller, user, fields: fieldsOf(body), verifier }),
  )
  const reader = deps.storage.reader(serial)
  const result = await userJson(reader, { user }, await requireUser(reader, { user }), { ...caller, user })
  sendResult(res, { type: 'userconfig', result, serial, status: 201 })
}

async function patchUser(deps: Deps, req: Request, res: Response): Promise<void> {
  const { user } = userPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const body = await readJsonObject(req, deps.limits)
  await requireUser(deps.storage.reader(), { user })
  const onlyPassword = !Object.keys(body).some((key) => FIELDS.has(key))
  await authorize(deps.storage.reader(), caller, onlyPassword ? 'user-modify-password' : 'user-modify', { user })

  const apiTokens = revokesTokens(body) ? 'revoke' : 'keep'
  const verifier = await verifierOf(deps, caller, body)
  const { serial } = await deps.storage.transact(origin, (tx) =>
    modifyUser(tx, { caller, user, fields: fieldsOf(body), verifier, apiTokens }),
  )
  const login = verifier === undefined ? undefined : deps.authenticator.tokenFor(user)
  if (login === undefined) { sendMessage(res, serial, 'user updated'); return; }
  sendResult(res, {
    type: 'userpassword',
    result: { password: login.token, expiration: login.expirationSeconds },
    message: 'user updated, new proxy auth',
    serial,
  })
}

async function removeUser(deps: Deps, req: Request, res: Response): Promise<void> {
  const { user } = userPath(req.params)
  const { caller, origin } = await callerAndOrigin(deps, req)
  const { serial } = await deps.storage.transact(origin, (tx) => deleteUser(tx, { caller, user }))
  sendMessage(res, serial, `user '${user}' deleted`)
}

function fieldsOf(body: JsonObject): UserFields {
  return Object.fromEntries(Object.entries(body).filter(([key]) => FIELDS.has(key)))
}

/** `{"password": "…", "revoke_tokens": true}` is for whoever has to fear that somebody else made or has the tokens. */
function revokesTokens({ revoke_tokens: revokes = false }: JsonObject): boolean {
  if (typeof revokes !== 'boolean') throw new Refusal('invalid', 'revoke_tokens must be true or false')
  return revokes
}

/** What the password given is checked against from now on; undefined when none is given, or null. */
async function verifierOf(deps: Deps, caller: Caller, body: JsonObject): Promise<Verifier | undefined> {
  const { pwhash, password } = body
  if (pwhash !== undefined && pwhash !== null) {
    if (caller.user !== ROOT_USER) throw new Refusal('forbidden', 'only root may set a pwhash; set a password')
    if (typeof pwhash !== 'string' || !isPasswordVerifier(pwhash)) {
      throw new Refusal('invalid', 'pwhash must be an argon2id hash such as $argon2id$v=19$m=…')
    }
    return userSecretOf(pwhash)
  }
  if (password === undefined || password === null) return undefined
  if (typeof password !== 'string') throw new Refusal('invalid', 'password must be a text')
  return createUserSecret(deps.hasher, password)
}
