/** Shapes of `/{user}/+tokens`. Types only: the server writes the replies, clients write the requests. */

/** `POST /{user}/+tokens`. */
export interface NewTokenJson {
  /** For people, to tell their tokens apart: 1 to 100 characters. */
  readonly name: string
  /** Of `read`, `upload`, `delete` and `admin`; at least one. */
  readonly actions: readonly string[]
  /** `user/index` each, or `["*"]` for everything its user may touch; at least one. */
  readonly indexes: readonly string[]
  /** A date or a moment in ISO 8601, `2030-01-31` or `2030-01-31T12:00:00Z`; without it the token has no end. */
  readonly expires?: string | null
}

/** An API token as it is listed, which never shows its secret. Moments are `YYYY-MM-DDTHH:MM:SSZ`. */
export interface TokenJson {
  readonly id: string
  readonly user: string
  readonly name: string
  readonly actions: readonly string[]
  readonly indexes: readonly string[]
  readonly created: string
  /** Null for one without end. */
  readonly expires: string | null
  readonly expired: boolean
}

/** The reply that made it, the only one to hold the token itself. */
export interface CreatedTokenJson extends TokenJson {
  readonly token: string
}
