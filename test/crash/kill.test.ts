import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ALL_PROJECTIONS } from '#server/projections/all.js'
import { DiskBlobs } from '#server/storage/disk-blobs.js'
import { verifyBlob } from '#server/storage/verify-blob.js'
import { verifyStore } from '#server/storage/verify.js'
import { type ChildServer, startChild } from '#test/support/child-server.js'
import { Random } from '#test/support/random.js'
import { CrashClient } from './client.js'

const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 25)
const CLIENTS = 8
/** The store is verified as a whole after so many rounds, and after the last. */
const ROUNDS_BETWEEN_CHECKS = 25
const MOST_CHANGES_IN_ROUND = 40

/*
 * Eight clients upload, replace, yank and delete while the server is killed
 * without warning, again and again on the same folder. What was acknowledged
 * is there after every restart, and nothing is there by half.
 */
test(
  `nothing acknowledged is lost in ${ROUNDS} kills`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'devpi-crash-'))
    const seed = Number(process.env['CRASH_SEED'] ?? Date.now() % 1e9)
    const random = new Random(seed)
    try {
      let server = await startChild(folder)
      const clients = await signUp(server, random)
      for (let round = 1; round <= ROUNDS; round += 1) {
        await workUntilKilled(server, clients, 1 + random.below(MOST_CHANGES_IN_ROUND))
        if (round % ROUNDS_BETWEEN_CHECKS === 0 || round === ROUNDS) expect(await faultsIn(folder)).toEqual([])
        server = await startChild(folder)
        await Promise.all(clients.map((client) => client.check(server.url)))
      }
      await server[Symbol.asyncDispose]()
    } catch (error) {
      throw new Error(`with CRASH_SEED=${seed}`, { cause: error })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
  ROUNDS * 8000,
)

async function signUp(server: ChildServer, random: Random): Promise<CrashClient[]> {
  const clients: CrashClient[] = []
  for (let at = 0; at < CLIENTS; at += 1) {
    const user = `client${at}`
    const send = (path: string, method: string, body: object, auth?: string): Promise<Response> =>
      fetch(server.url + path, { method, body: JSON.stringify(body), headers: auth === undefined ? {} : { 'X-Devpi-Auth': auth } })
    await send(`/${user}`, 'PUT', { password: 'secret' })
    const login = await send('/+login', 'POST', { user, password: 'secret' })
    const { result } = (await login.json()) as { result: { password: string } }
    const auth = Buffer.from(`${user}:${result.password}`).toString('base64')
    await send(`/${user}/dev`, 'PUT', { title: 'none' }, auth)
    clients.push(new CrashClient(user, result.password, new Random(random.below(2 ** 31))))
  }
  return clients
}

/** Lets the clients work until so many changes are acknowledged, and kills the server in the midst of the next ones. */
async function workUntilKilled(server: ChildServer, clients: readonly CrashClient[], changes: number): Promise<void> {
  let done = 0
  let killing: Promise<void> | undefined
  const onDone = (): void => {
    done += 1
    if (done >= changes) killing ??= server.kill()
  }
  await Promise.all(clients.map((client) => client.work(server.url, onDone)))
  await killing
}

async function faultsIn(folder: string): Promise<string[]> {
  const faults: string[] = []
  await using blobs = await DiskBlobs.open(join(folder, 'files'))
  await verifyStore({
    folder,
    projections: ALL_PROJECTIONS,
    blobs: {
      verify: (sha256) => verifyBlob(blobs, sha256),
      async *list() {
        for await (const { sha256 } of blobs.list()) yield sha256
      },
    },
    onFinding: ({ message }) => faults.push(message),
  })
  return faults
}
