import { join } from 'node:path'
import { issueNodeToken } from '#server/auth/node-token.js'
import { loadSecret } from '#server/auth/secret-file.js'

/** The uuid of a replica that exists for tests alone. */
export const TEST_NODE = 'ab'.repeat(16)

/** What a replica with the same secret as this server sends along. */
export async function replicaHeaders({ serverDir }: { readonly serverDir: string }): Promise<Readonly<Record<string, string>>> {
  const secret = await loadSecret(join(serverDir, '.secret'))
  return { 'X-DEVPI-REPLICA-UUID': TEST_NODE, Authorization: `Bearer ${issueNodeToken(secret, TEST_NODE, Date.now())}` }
}
