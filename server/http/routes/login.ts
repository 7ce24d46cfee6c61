import { Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'
import type { Deps } from '../deps.js'
import { readJsonObject } from '../json-body.js'
import { mount } from '../methods.js'
import { requireJson } from '../negotiate-api.js'
import { sendResult } from '../respond.js'

/** Logging in: a password for a token. */
export function loginRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/\\+login', {
    post: async (req, res) => {
      requireJson(req)
      const { user, password } = await readJsonObject(req, deps.limits)
      if (user === undefined || user === null || password === undefined || password === null) {
        throw new Refusal('invalid', 'Bad request: no user/password specified')
      }
      if (typeof user !== 'string' || typeof password !== 'string') {
        throw new Refusal('invalid', 'Bad request: user and password must be texts')
      }
      const { token, expirationSeconds } = await deps.authenticator.login(user, password, deps.proxies.clientAddress(req))
      sendResult(res, {
        type: 'proxyauth',
        result: { password: token, expiration: expirationSeconds },
        message: 'login successful',
        serial: deps.storage.head.serial,
      })
    },
  })
  return router
}
