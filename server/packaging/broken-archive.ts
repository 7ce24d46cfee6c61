/**
 * An archive that cannot be read as one, or will not. The message completes a
 * sentence that begins with the file's name: "is truncated".
 */
export class BrokenArchive extends Error {
  override readonly name = 'BrokenArchive'
}
