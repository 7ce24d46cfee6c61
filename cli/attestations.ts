import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Failure } from './failure.js'
import { isObject, parseJson } from './json.js'

/** What a server says in its features that takes them with an upload, in the form field `attestations` (PEP 740). */
export const ATTESTATIONS_FEATURE = 'attestations'

const MOST_BYTES = 256 * 1024

/** Files that stand beside a distribution and are none themselves: attestations and signatures. */
export function isCompanion(filename: string): boolean {
  return /\.(attestation|asc|sig)$/i.test(filename)
}

/** Attestations of a distribution, which bear its name and one of their own: `hello-1.0.tar.gz.publish.attestation`. Sorted. */
export async function findAttestations(path: string): Promise<string[]> {
  const folder = dirname(path)
  const lead = `${basename(path)}.`
  const names = await readdir(folder)
  return names.filter((name) => name.startsWith(lead) && /^[\w-]+\.attestation$/i.test(name.slice(lead.length))).sort().map((name) => join(folder, name))
}

/**
 * The form field: a JSON list of what is in the files. Checks that each may be
 * an attestation object of PEP 740; whether it is true is the server's business.
 */
export async function readAttestations(paths: readonly string[]): Promise<string> {
  return JSON.stringify(await Promise.all(paths.map(readAttestation)))
}

async function readAttestation(path: string): Promise<object> {
  const { size } = await stat(path)
  const found = size > MOST_BYTES ? undefined : parseJson(await readFile(path, 'utf8'))
  if (isObject(found) && found['version'] === 1 && isObject(found['verification_material']) && isObject(found['envelope'])) return found
  throw new Failure('UPLOAD_FAILED', `${basename(path)}: is no attestation of version 1`)
}
