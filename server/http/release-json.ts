import type { JsonValue, LinkLogEntry } from '#log-format/values.js'
import type { Release, StageLink } from '#server/stages/release.js'
import type { MergedRelease } from '#server/stages/releases.js'
import { fileUrl } from './urls.js'

/** `versiondata` of a version as a stage shows it. `base` stands before every absolute URL. */
export function mergedReleaseJson({ release, shadowed }: MergedRelease, base: string): { [field: string]: JsonValue } {
  return {
    ...releaseJson(release, base),
    ...(shadowed.length > 0 && { '+shadowing': shadowed.map((one) => releaseJson(one, base)) }),
  }
}

function releaseJson({ metadata, yanked, links }: Release, base: string): { [field: string]: JsonValue } {
  return {
    ...metadata,
    ...(yanked !== undefined && { yanked: yanked === '' ? true : yanked }),
    ...(links.length > 0 && { '+links': links.map((link) => linkJson(link, base)) }),
  }
}

/** Clients compare `for_href` with `href`, so both are made in the same way. */
function linkJson(found: StageLink, base: string): JsonValue {
  const { link } = found
  const href = (basename: string): string => fileUrl(base, found.user, found.index, `+f/${link.dir}`, basename)
  return {
    rel: link.rel,
    hash_spec: hashSpec(link.hashes),
    hashes: { ...link.hashes },
    href: href(found.basename),
    ...(link.forFile !== undefined && { for_href: href(link.forFile) }),
    ...(link.yanked !== undefined && { yanked: link.yanked === '' ? true : link.yanked }),
    ...(link.log !== undefined && { log: link.log.map(logJson) }),
  }
}

/** `sha256={hex}`; empty where an upstream states nothing. */
export function hashSpec(hashes: Readonly<Record<string, string>>): string {
  const [first] = Object.entries(hashes)
  return first === undefined ? '' : first.join('=')
}

/** `when` is year, month, day, hour, minute and second in UTC. */
function logJson({ what, who, when, count, src, dst }: LinkLogEntry): JsonValue {
  const time = new Date(when)
  return {
    what,
    who,
    when: [
      time.getUTCFullYear(),
      time.getUTCMonth() + 1,
      time.getUTCDate(),
      time.getUTCHours(),
      time.getUTCMinutes(),
      time.getUTCSeconds(),
    ],
    ...(count !== undefined && { count }),
    ...(src !== undefined && { src }),
    ...(dst !== undefined && { dst }),
  }
}
