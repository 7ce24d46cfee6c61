/** Calls `work` for every item, at most `limit` at the same time; rejects with the first that fails. */
export async function mapParallel<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  const lane = async (): Promise<void> => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: limit }, lane))
}
