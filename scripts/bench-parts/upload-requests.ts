import { createHash } from 'node:crypto'
import { crc32, deflateRawSync } from 'node:zlib'
import { request } from './load.js'
import { AUTH } from './state.js'

/** Uploads of different wheels of about `bytes`, each to a version of its own, as whole requests. */
export function uploadRequests(project: string, count: number, bytes: number): Buffer[] {
  return Array.from({ length: count }, (_, at) => uploadRequest(project, `1.${at}`, bytes))
}

/** Uploads of so many different wheels to one version. */
export function releaseRequests(project: string, version: string, count: number, bytes: number): Buffer[] {
  return Array.from({ length: count }, (_, at) => uploadRequest(project, version, bytes, `-${at + 1}`))
}

/** `build`: what stands behind the version in the file name. */
function uploadRequest(project: string, version: string, bytes: number, build = ''): Buffer {
  const filename = `${project}-${version}${build}-py3-none-any.whl`
  const boundary = 'boundary-of-the-bench'
  const fields = { ':action': 'file_upload', protocol_version: '1', name: project, version, filetype: 'bdist_wheel', pyversion: 'py3', metadata_version: '2.1', summary: 'measured' }
  const parts = Object.entries(fields).map(([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
  const body = Buffer.concat([
    Buffer.from(parts.join('')),
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="content"; filename="${filename}"\r\n\r\n`),
    smallWheel(project, version, bytes, build),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  return request('POST', '/alice/dev/', { Authorization: AUTH, 'Content-Type': `multipart/form-data; boundary=${boundary}` }, body)
}

/** A zip with METADATA and padding that does not compress. */
function smallWheel(project: string, version: string, bytes: number, build: string): Buffer {
  const metadata = Buffer.from(`Metadata-Version: 2.1\nName: ${project}\nVersion: ${version}\nSummary: measured\nRequires-Python: >=3.8\n`)
  const folder = `${project}-${version}.dist-info`
  return zip([
    { name: `${project}/data.bin`, data: noise(`${project} ${version}${build}`, Math.max(0, bytes - 700)), stored: true },
    { name: `${folder}/METADATA`, data: metadata, stored: false },
    { name: `${folder}/WHEEL`, data: Buffer.from('Wheel-Version: 1.0\nTag: py3-none-any\n'), stored: false },
  ])
}

function noise(seed: string, length: number): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0, have = 0; have < length; at += 1, have += 64) pieces.push(createHash('sha512').update(`${seed} ${at}`).digest())
  return Buffer.concat(pieces).subarray(0, length)
}

interface Member {
  readonly name: string
  readonly data: Buffer
  readonly stored: boolean
}

function zip(members: readonly Member[]): Buffer {
  const bodies: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, data, stored } of members) {
    const packed = stored ? data : deflateRawSync(data)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(stored ? 0 : 8, 4)
    common.writeUInt32LE(crc32(data), 10)
    common.writeUInt32LE(packed.length, 14)
    common.writeUInt32LE(data.length, 18)
    common.writeUInt16LE(Buffer.byteLength(name), 22)
    const local = Buffer.concat([Buffer.from('504b0304', 'hex'), common, Buffer.from(name), packed])
    const central = Buffer.alloc(14)
    central.writeUInt32LE(offset, 10)
    directory.push(Buffer.concat([Buffer.from('504b01021400', 'hex'), common, central, Buffer.from(name)]))
    bodies.push(local)
    offset += local.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('504b0506', 0, 'hex')
  end.writeUInt16LE(members.length, 8)
  end.writeUInt16LE(members.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...bodies, central, end])
}
