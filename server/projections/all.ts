import type { Projection } from '#server/storage/projection.js'
import { blobReferences } from './blob-references.js'
import { changes } from './changes.js'
import { lastChanged } from './last-changed.js'
import { mirrorReferences } from './mirror-references.js'
import { toxSummaries } from './tox-summaries.js'

/** Every projection, as storage wants them. Order does not matter. */
export const ALL_PROJECTIONS: readonly Projection[] = [lastChanged, blobReferences, changes, toxSummaries, mirrorReferences]
