/** One promise and what came of it. */
export interface Row {
  readonly what: string
  readonly target: string
  readonly figure: string
  /** Undefined where nothing was promised, and the figure is for information. */
  readonly met: boolean | undefined
}

export interface BenchOptions {
  /** A folder for this part alone; removed afterwards. */
  readonly folder: string
  /** Small states and short rounds: shows that the bench works, not how fast the server is. */
  readonly quick: boolean
}

export function atLeast(what: string, least: number, value: number, digits = 2): Row {
  return { what, target: `≥ ${least}`, figure: value.toFixed(digits), met: value >= least }
}

export function atMost(what: string, most: number, value: number, unit: string, digits = 1): Row {
  return { what, target: `≤ ${most} ${unit}`, figure: `${value.toFixed(digits)} ${unit}`, met: value <= most }
}

export function told(what: string, figure: string): Row {
  return { what, target: '', figure, met: undefined }
}
