import type { IncomingMessage } from 'node:http'

const originalUrls = new WeakMap<IncomingMessage, string>()

/** Remembers the address as the client wrote it, before routing takes it apart. */
export function noteOriginalUrl(request: IncomingMessage): void {
  if (request.url !== undefined) originalUrls.set(request, request.url)
}

function originalUrl(request: IncomingMessage): string | undefined {
  return originalUrls.get(request)
}

/** Longer addresses would fill the memory with themselves instead of with answers. */
const LONGEST_KEPT = 1024

/** The key of the address under which an answer may be remembered; undefined for none. */
export function addressToKeep(request: IncomingMessage): string | undefined {
  const url = originalUrl(request)
  const key = url === undefined ? undefined : addressKey(request, url)
  return key !== undefined && key.length <= LONGEST_KEPT ? key : undefined
}

/** The address as the client wrote it, with what else decides which one it is. */
export function addressKey({ headers }: IncomingMessage, url: string): string {
  const { 'x-outside-url': outside, 'x-forwarded-prefix': prefix } = headers
  return outside === undefined && prefix === undefined ? url : `${url}\n${String(outside)}\n${String(prefix)}`
}
