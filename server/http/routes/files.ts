import { type Request, type RequestHandler, type Response, Router } from 'express'
import { keys } from '#log-format/keys.js'
import { deleteFile, yankFile } from '#server/commands/files.js'
import { filePath, type FileRef } from '#server/commands/lookups.js'
import { callerAndOrigin } from '../authenticate.js'
import type { Deps } from '../deps.js'
import { readJsonObject } from '../json-body.js'
import { mount } from '../methods.js'
import { filePathParams, hasFlag } from '../params.js'
import { pastSerial } from '../past-serial.js'
import { sendMessage } from '../respond.js'
import { noSuchFile, serveFile } from '../serve-file.js'
import { yankReasonOf } from '../yank-body.js'
import { postToxresult } from './toxresults.js'

/** Public file paths: reading, removing, yanking, and test reports on them. */
export function fileRoutes(deps: Deps): Router {
  const router = Router({ caseSensitive: true, strict: true })
  mount(router, '/:user/:index/\\+f/*path', {
    get: onFile((request, response, ref) => serveFile(deps, request, response, ref)),
    post: onFile((request, response, ref) => postToxresult(deps, request, response, ref)),
    patch: onFile((request, response, ref) => patchFile(deps, request, response, ref)),
    delete: onFile((request, response, ref) => removeFile(deps, request, response, ref)),
  })
  mount(router, '/:user/:index/\\+at/:serial/\\+f/*path', {
    get: onFile((request, response, ref) =>
      serveFile(deps, request, response, ref, { reader: deps.storage.reader(pastSerial(deps, request)) }),
    ),
  })
  // Where the reference keeps mirrored files without a hash; here every file has one.
  router.all('/:user/:index/\\+e/*path', () => {
    throw noSuchFile()
  })
  return router
}

function onFile(handle: (request: Request, response: Response, ref: FileRef) => Promise<void>): RequestHandler {
  return async (request, response) => {
    const ref = filePathParams(request.params)
    if (ref === undefined) throw noSuchFile()
    await handle(request, response, ref)
  }
}

async function removeFile(deps: Deps, request: Request, response: Response, ref: FileRef): Promise<void> {
  const { caller, origin } = await callerAndOrigin(deps, request)
  const existed = await deps.storage.reader().existed(keys.file(ref))
  const input = { ...ref, caller, existed, force: hasFlag(request, 'force') }
  const { serial } = await deps.storage.transact(origin, (tx) => deleteFile(tx, input))
  sendMessage(response, serial, `package '${filePath(ref)}' deleted`)
}

/** `{"yanked": true}`, with a reason instead of `true`, or `false` to take the yank back. */
async function patchFile(deps: Deps, request: Request, response: Response, ref: FileRef): Promise<void> {
  const { caller, origin } = await callerAndOrigin(deps, request)
  const reason = yankReasonOf(await readJsonObject(request, deps.limits))
  const existed = await deps.storage.reader().existed(keys.file(ref))
  const { serial } = await deps.storage.transact(origin, (tx) => yankFile(tx, { ...ref, caller, existed, reason }))
  sendMessage(response, serial, `file '${filePath(ref)}' ${reason === undefined ? 'is no longer yanked' : 'yanked'}`)
}
