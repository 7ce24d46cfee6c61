import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openLogger } from '#server/process/logger.js'
import { askToPromote, PromoteRequests } from '#server/process/promote-request.js'
import { tempFolder } from '../storage/temp-storage.js'

test('a folder that takes no answer ends nothing: who asks is told that nobody answers, and the next one is answered', async () => {
  await using folder = await tempFolder()
  const lines: string[] = []
  const logger = openLogger({ debug: false, format: 'json', write: (line) => lines.push(line) })
  let promotions = 0
  await using _ = new PromoteRequests(folder.path, () => Promise.resolve(`promotion ${(promotions += 1)}`), logger)
  const inTheWay = join(folder.path, 'promote.answer.new')
  await mkdir(inTheWay)
  await expect(askToPromote(folder.path, { lostSecrets: 'refuse' }, 3000)).rejects.toMatchObject({ kind: 'not-available' })
  expect(promotions).toBe(1)
  expect(lines).toEqual([expect.stringContaining('requests to be promoted cannot be answered')])
  await rm(inTheWay, { recursive: true })
  expect(await askToPromote(folder.path, { lostSecrets: 'refuse' })).toEqual({ isDone: true, sentence: 'promotion 2' })
})

test('tells once of a request that it meets again and again: the log may be in the folder that is watched', async () => {
  await using folder = await tempFolder()
  const lines: string[] = []
  const logger = openLogger({ debug: false, format: 'json', write: (line) => lines.push(line) })
  const [request, answer] = ['promote.request', 'promote.answer'].map((name) => join(folder.path, name)) as [string, string]
  await writeFile(answer, 'of before')
  await mkdir(`${answer}.new`)
  let promoted = (): void => undefined
  await using _ = new PromoteRequests(folder.path, () => {
    promoted()
    return Promise.resolve('done')
  }, logger)
  while (existsSync(answer)) await new Promise(setImmediate) // from now on no request is taken for one of before
  const [one, other] = ['a'.repeat(32), 'b'.repeat(32)]
  for (const id of [one, one, one, other, other, one]) {
    const next = new Promise<void>((resolve) => (promoted = resolve))
    await writeFile(request, id)
    await next
  }
  expect(lines).toHaveLength(2) // what became of the last one is not known yet
})
