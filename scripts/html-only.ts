import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readArguments, runScript, wholeNumber } from './arguments.js'

const USAGE = 'npm run html-only -- [--to http://localhost:3141] [--port 3142]'

/**
 * A proxy in front of a server that asks for HTML whatever the client asks
 * for: shows what installers get that do not know the JSON form of simple pages.
 */
export function main(argv: readonly string[]): Promise<number> {
  return runScript(async () => {
    const { values } = readArguments(argv, { to: { type: 'string' }, port: { type: 'string' } }, USAGE)
    const proxy = await startHtmlOnly(values.to ?? 'http://localhost:3141', wholeNumber('port', values.port, 3142))
    process.stdout.write(`asks for HTML at ${proxy.url}\n`)
    return new Promise<number>(() => undefined) // until it is interrupted
  })
}

export interface HtmlOnlyProxy extends AsyncDisposable {
  readonly url: string
}

export async function startHtmlOnly(target: string, port: number): Promise<HtmlOnlyProxy> {
  const server = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming
    const options = { ...(method !== undefined && { method }), headers: { ...headers, accept: 'text/html' } }
    const forwarded = request(target + (url ?? '/'), options, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers)
      reply.pipe(outgoing)
    })
    forwarded.on('error', () => outgoing.destroy())
    incoming.pipe(forwarded)
  })
  await new Promise<void>((resolve) => {
    server.listen(port, 'localhost', resolve)
  })
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
