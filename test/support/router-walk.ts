import type { Express } from 'express'

/** What a router holds, as far as a walk needs it. */
interface Layer {
  readonly handle: unknown
  /** Whether it is mounted at the top and not below a path. */
  readonly slash: boolean
  readonly route?: { readonly path: unknown; readonly stack: readonly { readonly method?: string }[] }
}

export interface Walked {
  /** `GET /{user}/{index}`, once each; templates without the slash at their end. */
  readonly routes: ReadonlySet<string>
  /** Every path template, also of addresses that only refuse. */
  readonly templates: ReadonlySet<string>
  /** Handlers that are neither a route nor a router, by the number of their arguments. */
  readonly plain: readonly number[]
}

/** All routes of an application, found in its routers however deep they are. Throws for what it cannot name. */
export function walkRoutes(app: Express): Walked {
  const routes = new Set<string>()
  const templates = new Set<string>()
  const plain: number[] = []
  const walk = (layers: readonly Layer[]): void => {
    for (const { handle, slash, route } of layers) {
      if (route !== undefined) {
        const template = templateOf(route.path)
        templates.add(template)
        for (const { method } of route.stack) if (method !== undefined) routes.add(`${method.toUpperCase()} ${template}`)
      } else if (!slash) {
        throw new Error('a handler is mounted below a path, which a router does not remember; give its routes their whole paths')
      } else if (typeof handle === 'function' && 'stack' in handle) {
        walk(handle.stack as readonly Layer[])
      } else if (typeof handle === 'function') {
        plain.push(handle.length)
      }
    }
  }
  walk(app.router.stack as unknown as readonly Layer[])
  return { routes, templates, plain }
}

/** `/:user/:index/\\+f/*path` is `/{user}/{index}/+f/{path}`. */
function templateOf(path: unknown): string {
  if (typeof path !== 'string') throw new Error(`the path of a route is not a text: ${String(path)}`)
  return withoutSlash(path.replace('{/}', '').replace(/[:*](\w+)/g, '{$1}').replace(/\\/g, ''))
}

export function withoutSlash(path: string): string {
  return path === '/' ? path : path.replace(/\/$/, '')
}
