import type { Readable } from 'node:stream'

/** What a command meets of the world around its process. Tests make their own. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly input: Readable
  readonly terminals: { readonly input: boolean; readonly out: boolean; readonly err: boolean }
  readonly columns: number
  readonly writeOut: (text: string) => void
  readonly writeErr: (text: string) => void
  /** Ends what is going on when the user presses Ctrl-C, or the process is told to end. */
  readonly interrupted: AbortSignal
  /** Nobody reads what goes to `writeOut` any more. */
  readonly unread: AbortSignal
  readonly now: () => number
}

/** By the configuration that the framework hands to each command: it has no other way in. */
const KNOWN = new WeakMap<object, Surroundings>()

export function provideSurroundings(config: object, surroundings: Surroundings): void {
  KNOWN.set(config, surroundings)
}

/** Those that were provided, else those of this process. */
export function surroundingsOf(config: object): Surroundings {
  return KNOWN.get(config) ?? ofThisProcess({ interrupted: new AbortController().signal, unread: new AbortController().signal })
}

export function ofThisProcess({ interrupted, unread }: Pick<Surroundings, 'interrupted' | 'unread'>): Surroundings {
  return {
    env: process.env,
    cwd: process.cwd(),
    input: process.stdin,
    terminals: { input: process.stdin.isTTY, out: process.stdout.isTTY, err: process.stderr.isTTY },
    get columns() {
      return process.stderr.columns // changes with the window
    },
    writeOut: (text) => process.stdout.write(text),
    writeErr: (text) => process.stderr.write(text),
    interrupted,
    unread,
    now: Date.now,
  }
}
