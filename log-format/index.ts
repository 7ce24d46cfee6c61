/*
 * What other programs may read logs with: the only file of the house that
 * hands on what others define.
 */
export type { Change } from './change.js'
export { type ChainHead, digestHex, EMPTY_CHAIN, entryDigest, extendChain } from './chain.js'
export { decodeEntry, DIGEST_BYTES, encodeEntry, ENTRY_VERSION, MAX_ENTRY_BYTES } from './codec.js'
export type { Entry, Origin, Via } from './entry.js'
export { ChainError, FormatError } from './errors.js'
export { FRAME_HEADER_BYTES, type Frame, frameHeader, FrameReader } from './framing.js'
export { FOREIGN_FAMILY, keys, locatePath, type StoredValue } from './keys.js'
export type { ForeignMutation, Mutation, MutationKind } from './mutation.js'
export { NO_SERIAL, nextSerial, parseSerial, type Serial, toSerial } from './serial.js'
export type * from './values.js'
