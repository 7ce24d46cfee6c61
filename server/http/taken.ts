import type { ServerResponse } from 'node:http'

/** Writes bytes; whether so much of them was taken that more can be read for whoever takes them. One that takes nothing for `waitMs` gets no more. */
export async function taken(res: ServerResponse, bytes: Uint8Array, waitMs: number, gone: AbortSignal): Promise<boolean> {
  if (gone.aborted) return false
  if (res.write(bytes)) return true
  return new Promise((resolve) => {
    const settle = (found: boolean) => (): void => {
      clearTimeout(timer)
      res.off('drain', drained)
      gone.removeEventListener('abort', left)
      resolve(found)
    }
    const drained = settle(true)
    const left = settle(false)
    const timer = setTimeout(left, waitMs)
    res.on('drain', drained)
    gone.addEventListener('abort', left)
  })
}
