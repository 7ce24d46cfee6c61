import { mapParallel } from '#server/storage/map-parallel.js'

test('at most so many at a time, and each once', async () => {
  let running = 0
  let most = 0
  const done: number[] = []
  await mapParallel([1, 2, 3, 4, 5], 2, async (item) => {
    running += 1
    most = Math.max(most, running)
    await Promise.resolve()
    running -= 1
    done.push(item)
  })
  expect([most, done.sort()]).toEqual([2, [1, 2, 3, 4, 5]])
})

test('when one fails nothing more begins, and what had begun is over', async () => {
  const begun: number[] = []
  const over: number[] = []
  let end = (): void => undefined
  const slow = new Promise<void>((resolve) => { end = resolve })
  let isSettled = false
  const whole = mapParallel([1, 2, 3, 4], 2, async (item) => {
    begun.push(item)
    if (item === 1) throw new Error('the first')
    await slow
    over.push(item)
  }).finally(() => { isSettled = true })
  whole.catch(() => undefined)
  await new Promise((resolve) => setImmediate(resolve))
  expect([isSettled, begun]).toEqual([false, [1, 2]])
  end()
  await expect(whole).rejects.toThrow('the first')
  expect([begun, over]).toEqual([[1, 2], [2]])
})
