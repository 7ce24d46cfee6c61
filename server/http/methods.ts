import type { RequestHandler, Router } from 'express'
import { Refusal } from '#log-format/api/refusal.js'

export type Method = 'get' | 'put' | 'post' | 'patch' | 'delete'

/** Handlers of one address by method. HEAD is answered where GET is. */
export type Handlers = { readonly [M in Method]?: RequestHandler }

/** Mounts an address; methods it does not have are refused by name, with those it has. */
export function mount(router: Router, path: string, handlers: Handlers): void {
  const route = router.route(path)
  const allowed: string[] = []
  for (const method of ['get', 'put', 'post', 'patch', 'delete'] as const) {
    const handler = handlers[method]
    if (handler === undefined) continue
    route[method](handler)
    allowed.push(...(method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))
  }
  const allow = allowed.join(', ')
  route.all((request) => {
    throw new Refusal('method-not-allowed', `${request.method} is not possible here, only ${allow}`, {
      form: 'status',
      headers: { Allow: allow },
    })
  })
}
