/**
 * What has to be closed, in the reverse order of opening. Node 20 has no
 * `AsyncDisposableStack`.
 */
export class CloseStack implements AsyncDisposable {
  #closers: (() => Promise<void> | void)[] = []

  use<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.defer(() => (Symbol.asyncDispose in resource ? Promise.resolve(resource[Symbol.asyncDispose]()) : resource[Symbol.dispose]()))
    return resource
  }

  defer(close: () => Promise<void> | void): void {
    this.#closers.push(close)
  }

  /** Hands everything over to a new stack; disposing this one does nothing then. */
  move(): CloseStack {
    const moved = new CloseStack()
    moved.#closers = this.#closers
    this.#closers = []
    return moved
  }

  /** Closes all, also when one of them fails; rejects with the first failure. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = []
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
