import { mkdir, rm } from 'node:fs/promises'
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
