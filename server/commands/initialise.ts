import { keys } from '#log-format/keys.js'
import { ROOT_USER } from '#server/auth/caller.js'
import type { Transaction } from '#server/storage/transaction.js'
import { secretNames } from '#server/storage/vault.js'
import type { Verifier } from './users.js'

/** Where the index `root/pypi` looks, unless it is told otherwise. */
export const PYPI_SIMPLE_URL = 'https://pypi.org/simple/'

/** Serial 0: the superuser, and unless declined a mirror of PyPI. To be called on an empty log only. */
export function initialiseServer(
  tx: Transaction,
  input: { readonly verifier: Verifier; readonly withPypi: boolean },
): Promise<void> {
  tx.set(keys.user({ user: ROOT_USER }), { created: tx.time })
  tx.secrets.set(secretNames.user(ROOT_USER), { ...input.verifier })
  if (input.withPypi) {
    tx.set(keys.index({ user: ROOT_USER, index: 'pypi' }), {
      type: 'mirror',
      created: tx.time,
      volatile: false,
      title: 'PyPI',
      mirror_url: PYPI_SIMPLE_URL,
      mirror_web_url_fmt: 'https://pypi.org/project/{name}/',
    })
  }
  tx.record({ kind: 'server-initialised' })
  return Promise.resolve()
}
