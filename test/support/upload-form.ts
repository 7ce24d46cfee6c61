/** A distribution to upload, as `archives.ts` builds them. */
export interface UploadInput {
  readonly filename: string
  readonly bytes: Uint8Array
  readonly name?: string
  readonly version?: string
  /** Further form fields. */
  readonly fields?: Readonly<Record<string, string>>
}

/** The form of an upload; name and version come from the file name unless given. */
export function uploadForm(file: UploadInput): FormData {
  const [fromName = '', fromVersion = ''] = file.filename.replace(/\.(tar\.gz|zip)$/, '').split('-')
  const form = new FormData()
  form.set(':action', 'file_upload')
  form.set('name', file.name ?? fromName)
  form.set('version', file.version ?? fromVersion)
  for (const [field, value] of Object.entries(file.fields ?? {})) form.set(field, value)
  form.set('content', new Blob([file.bytes]), file.filename)
  return form
}
