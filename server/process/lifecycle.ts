const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** Resolves with the first signal that asks the process to stop; a second one ends it at once. */
export function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of SIGNALS) {
      process.once(signal, () => {
        resolve(signal)
        process.once(signal, () => process.exit(1))
      })
    }
  })
}
