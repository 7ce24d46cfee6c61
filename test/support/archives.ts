import { createHash } from 'node:crypto'
import { tarGz } from './tar-builder.js'
import { zip } from './zip-builder.js'

/** A release file as a client would upload it. */
export interface ReleaseFile {
  readonly filename: string
  readonly bytes: Buffer
}

export interface ReleaseOptions {
  /** Headers beside name and version, under their names in core metadata: `{ 'Requires-Dist': ['six'] }`. */
  readonly metadata?: Readonly<Record<string, string | readonly string[]>>
  /** The whole `METADATA` or `PKG-INFO`, instead of one made from name, version and `metadata`. */
  readonly metadataText?: string
  readonly extra?: Readonly<Record<string, Uint8Array>>
  /** Bytes that do not compress, as one more file: what a big release is made of. */
  readonly padding?: number
}

export interface WheelOptions extends ReleaseOptions {
  /** PEP 425, `py3-none-any` unless told. */
  readonly tag?: string
}

/** A wheel (PEP 427) that pip installs: one module of the project's name, whose `VERSION` is the version. */
export function wheel(name: string, version: string, options: WheelOptions = {}): ReleaseFile {
  const { tag = 'py3-none-any', padding = 0, extra = {} } = options
  const escaped = escapeName(name)
  const info = `${escaped}-${version}.dist-info`
  const files: Record<string, Uint8Array> = {
    [`${escapeName(name)}.py`]: Buffer.from(moduleText(version)),
    ...(padding > 0 && { [`${escapeName(name)}_data.bin`]: noise(padding) }),
    ...extra,
    [`${info}/METADATA`]: Buffer.from(options.metadataText ?? metadataText(name, version, options.metadata)),
    [`${info}/WHEEL`]: Buffer.from(`Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: ${tag}\n`),
  }
  const record = Object.entries(files).map(([path, bytes]) => `${path},${recordHash(bytes)},${bytes.length}\n`)
  files[`${info}/RECORD`] = Buffer.from(`${record.join('')}${info}/RECORD,,\n`)
  const entries = Object.entries(files).map(([path, bytes]) => ({ name: path, bytes, stored: path.endsWith('.bin') }))
  return { filename: `${escaped}-${version}-${tag}.whl`, bytes: zip(entries) }
}

/**
 * An sdist (`.tar.gz`, PEP 625) that pip builds and installs without
 * fetching anything: it brings its own PEP 517 build backend, which needs the standard library only.
 */
export function sdist(name: string, version: string, options: ReleaseOptions = {}): ReleaseFile {
  const { padding = 0, extra = {} } = options
  const top = `${escapeName(name)}-${version}`
  const pkgInfo = options.metadataText ?? metadataText(name, version, options.metadata)
  const files: Record<string, Uint8Array> = {
    'PKG-INFO': Buffer.from(pkgInfo),
    'pyproject.toml': Buffer.from('[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'),
    'backend.py': Buffer.from(BACKEND.replace('@name', escapeName(name)).replace('@version', version)),
    [`${escapeName(name)}.py`]: Buffer.from(moduleText(version)),
    ...(padding > 0 && { 'data.bin': noise(padding) }),
    ...extra,
  }
  const entries = Object.entries(files).map(([path, bytes]) => ({ name: `${top}/${path}`, bytes }))
  return { filename: `${top}.tar.gz`, bytes: tarGz([{ name: `${top}/`, type: '5' }, ...entries]) }
}

/** Core metadata 2.1 with the given headers. */
export function metadataText(name: string, version: string, headers: ReleaseOptions['metadata'] = {}): string {
  const lines = Object.entries(headers).flatMap(([header, value]) => [value].flat().map((one) => `${header}: ${one}\n`))
  return `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${lines.join('')}`
}

/** Incompressible bytes, the same for the same length and seed (xorshift32). */
export function noise(length: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state >>> 0
  }
  return Buffer.from(words.buffer, 0, length)
}

/** File names of wheels and sdists: runs of `-_.` become one underscore. */
function escapeName(name: string): string {
  return name.replace(/[-_.]+/g, '_').toLowerCase()
}

function moduleText(version: string): string {
  return `VERSION = ${JSON.stringify(version)}\n`
}

function recordHash(bytes: Uint8Array): string {
  return `sha256=${createHash('sha256').update(bytes).digest('base64url')}`
}

/** Writes the wheel of the project it lies in. */
const BACKEND = `import os, zipfile

NAME, VERSION = "@name", "@version"

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info = f"{NAME}-{VERSION}.dist-info"
    filename = f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as wheel:
        wheel.write(f"{NAME}.py")
        wheel.write("PKG-INFO", f"{info}/METADATA")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        names = wheel.namelist() + [f"{info}/RECORD"]
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\\n" for name in names))
    return filename
`
