/** A number of tasks that run at the same time, and no more. */
export class Lanes {
  #free: number
  readonly #count: number
  #waiting: (() => void)[] = []
  #idle: (() => void)[] = []

  constructor(count: number) {
    this.#count = count
    this.#free = count
  }

  get running(): number {
    return this.#count - this.#free
  }

  /** Resolves as soon as there is a lane for the task, which then runs in it. The task must not reject. */
  async start(task: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    void task().finally(() => { this.#release() })
  }

  /** Resolves when no task runs. */
  async idle(): Promise<void> {
    while (this.running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** The next in line has the lane before anybody else sees it. */
  #release(): void {
    const next = this.#waiting.shift()
    if (next !== undefined) return next()
    this.#free += 1
    if (this.running > 0) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}
