import { join } from 'node:path'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { readConfig } from '#server/process/config.js'
import { requireServerDir } from '#server/process/initialise.js'
import { runProgram } from '#server/process/program.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { verifyBlob } from '#server/storage/verify-blob.js'
import { verifyStore } from '#server/storage/verify.js'

/**
 * `devpi-fsck`: compares the log, the rows folded from it, and the files of a
 * server directory that no server uses. Changes nothing. Resolves to the exit
 * code: 1 when anything is wrong.
 */
export function main(argv: readonly string[]): Promise<number> {
  return runProgram('devpi-fsck', argv, readConfig, async (config) => {
    requireServerDir(config)
    const blobs = DiskBlobs.toRead(join(config.serverDir, 'files'))
    const report = await verifyStore({
      folder: config.serverDir,
      projections: ALL_PROJECTIONS,
      blobs: {
        verify: (sha256) => verifyBlob(blobs, sha256),
        async *list () {
          for await (const { sha256 } of blobs.list()) yield sha256
        },
      },
      onFinding: ({ message }) => {
        process.stdout.write(`${message}\n`)
      },
    })
    const { entries, rows, blobs: files, unnamedBlobs, findings } = report
    process.stdout.write(
      `${findings === 0 ? 'all is well' : `${findings} faults`}: ${entries} entries, ${rows} rows, ` +
        `${files} files, ${unnamedBlobs} of which nothing names\n`,
    )
    return findings === 0 ? 0 : 1
  })
}
