import { blobs } from './blobs.js'
import { changes } from './changes.js'
import { type Noun, object, type Operation, type Schema, text } from './description.js'
import { docs } from './docs.js'
import { files } from './files.js'
import { groups } from './groups.js'
import { indexes } from './indexes.js'
import { logins } from './logins.js'
import { policies } from './policies.js'
import { projects } from './projects.js'
import { pushes } from './pushes.js'
import { server } from './server.js'
import { simple } from './simple.js'
import { tokens } from './tokens.js'
import { uploads } from './uploads.js'
import { users } from './users.js'

/**
 * Everything that can be asked of the server. The document at
 * `/+openapi.json` and `docs/api.md` are made from it, and a test holds it
 * against the router: a route that is not described here does not pass.
 */
export const NOUNS: readonly Noun[] = [logins, users, groups, tokens, indexes, uploads, pushes, projects, files, simple, policies, docs, changes, blobs, server]

export const OPERATIONS: readonly Operation[] = NOUNS.flatMap(({ operations }) => operations)

/** Replies without data, and refusals (`log-format/api/envelope.ts`). */
export const SHARED_SHAPES: Readonly<Record<string, Schema>> = {
  Message: object({ message: text('For people.') }),
  Refusal: {
    ...object({ message: text('What is wrong, in one sentence.'), 'code?': text('The status and its phrase.'), 'title?': text('The phrase.') }),
    description: 'Sent as a small page to who does not accept JSON.',
  },
}

/** Named shapes of all nouns. */
export const SHAPES: Readonly<Record<string, Schema>> = Object.assign({}, SHARED_SHAPES, ...NOUNS.map(({ shapes }) => shapes ?? {})) as Readonly<Record<string, Schema>>
