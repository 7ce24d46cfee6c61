const DAY_MS = 24 * 60 * 60 * 1000

/** A span of time for people, in whole days: `3 days ago`. */
export function timeAgo(ms: number): string {
  const days = Math.floor(ms / DAY_MS)
  if (days < 1) return 'less than a day ago'
  return days === 1 ? '1 day ago' : `${days} days ago`
}
