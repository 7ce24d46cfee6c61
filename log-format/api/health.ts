/** `/+health`: the process answers. */
export interface HealthJson {
  readonly status: 'ok'
}

/** `/+health/ready`: whether the server can do all its work; a sentence for each thing that keeps it from it. */
export interface ReadinessJson {
  readonly status: 'ready' | 'unready'
  readonly reasons: readonly string[]
}
