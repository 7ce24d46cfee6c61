/** One thing that is wrong. `message` is one sentence that names the entry, key or blob. */
export interface Finding {
  readonly subject: 'entry' | 'row' | 'blob' | 'database'
  readonly message: string
}

export interface VerifyProgress {
  readonly phase: 'entries' | 'rows' | 'blobs'
  readonly done: number
}

/** What the parts of a verification share. */
export interface VerifyTools {
  readonly report: (finding: Finding) => void
  readonly progress: (progress: VerifyProgress) => void
}
