/**
 * Calls `work` for every item, at most `limit` at the same time. Rejects with
 * the first that fails, once nothing is under way any more: what the work uses
 * may be closed then.
 */
export async function mapParallel<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  let failed = false
  const lane = async (): Promise<void> => {
    for (const item of queue) {
      if (failed) return
      await work(item).catch((error: unknown) => {
        failed = true
        throw error
      })
    }
  }
  const lanes = Array.from({ length: limit }, lane)
  await Promise.allSettled(lanes)
  await Promise.all(lanes)
}
