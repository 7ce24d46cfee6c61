/** A key and its value, as they lie in the database. */
export type RawRow = readonly [Uint8Array, Uint8Array]

/** Has LevelDB take and give rows so. */
export const RAW = { keyEncoding: 'view', valueEncoding: 'view' } as const
