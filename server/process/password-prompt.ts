import type { ReadStream } from 'node:tty'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { Refusal } from '#log-format/api/refusal.js'

/** Asks twice on a terminal, without showing what is typed. Refuses two different answers. */
export async function readPassword(user: string, input: ReadStream, output: NodeJS.WritableStream): Promise<string> {
  const silent = new Writable({
    write: (_chunk, _encoding, done) => {
      done()
    },
  })
  const lines = createInterface({ input, output: silent, terminal: true })
  const ask = async (question: string): Promise<string> => {
    output.write(question)
    const answer = await lines.question('')
    output.write('\n')
    return answer
  }
  try {
    const first = await ask(`new password of ${user}: `)
    if ((await ask('the same again: ')) !== first) throw new Refusal('invalid', 'the two are different; nothing was changed')
    return first
  } finally {
    lines.close()
  }
}
