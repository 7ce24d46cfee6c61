import type { UploadInput } from './upload-form.js'
import type { ZipEntry } from './zip-builder.js'

/** The files of a documentation by their names. */
export function pages(files: Readonly<Record<string, string | Uint8Array>>): ZipEntry[] {
  return Object.entries(files).map(([name, content]) => ({ name, bytes: Buffer.from(content) }))
}

/** A documentation to upload. */
export function docsUpload(name: string, version: string, archive: Uint8Array): UploadInput {
  return { filename: 'docs.zip', bytes: archive, name, version, fields: { ':action': 'doc_upload' } }
}
