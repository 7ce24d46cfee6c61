import { readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { type Frame, FrameReader, type Heartbeat } from '#log-format/framing.js'
import { issueNodeToken } from '#server/auth/node-token.js'
import type { TestServer } from './server.js'

/** Headers of a replica that shares the secret of a server. */
export function replicaHeaders({ serverDir }: Pick<TestServer, 'serverDir'>, node: string): Record<string, string> {
  const secret = readFileSync(join(serverDir, '.secret'))
  return { Authorization: `Bearer ${issueNodeToken(secret, node, Date.now())}`, 'X-DEVPI-REPLICA-UUID': node }
}

/** A stream of the log as a replica sees it; what arrives waits until it is asked for. */
export interface LogStream extends Disposable {
  readonly reply: IncomingMessage
  readonly heartbeat: Heartbeat | undefined
  /** The next frame; undefined when the stream ended. Rejects when it broke. */
  next(): Promise<Frame | undefined>
  /** As many frames. */
  take(count: number): Promise<Frame[]>
}

export async function openLogStream(url: string, from: number, headers: Record<string, string>): Promise<LogStream> {
  const reply = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${url}/+changelog/${from}-`, { headers, agent: false }, resolve).on('error', reject)
  })
  const reader = new FrameReader()
  const frames = framesOf(reply, reader)
  const next = async (): Promise<Frame | undefined> => {
    const step = await frames.next()
    return step.done === true ? undefined : step.value
  }
  return {
    reply,
    get heartbeat() {
      return reader.heartbeat
    },
    next,
    take: async (count) => {
      const taken: Frame[] = []
      for (let left = count; left > 0; left -= 1) {
        const frame = await next()
        if (frame === undefined) throw new Error(`the stream ended ${left} frames too early`)
        taken.push(frame)
      }
      return taken
    },
    [Symbol.dispose]: () => void reply.destroy(),
  }
}

async function* framesOf(reply: IncomingMessage, reader: FrameReader): AsyncGenerator<Frame> {
  for await (const piece of reply as AsyncIterable<Buffer>) yield* reader.push(piece)
  if (reader.pending > 0) throw new Error(`the stream ended within a frame, after ${reader.pending} bytes of it`)
}
