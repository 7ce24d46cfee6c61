/** Maps with at most `width` at work at once. Results are in the order of the items; the first failure is what rejects. */
export async function mapParallel<T, R>(items: readonly T[], width: number, map: (item: T, at: number) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const entries = items.entries()
  const work = async (): Promise<void> => {
    for (const [at, item] of entries) results[at] = await map(item, at)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, work))
  return results
}
