/** What one client's index holds, as far as the client was told. */
export interface IndexState {
  readonly title: string
  readonly projects: Projects
}

type Projects = Readonly<Record<string, Readonly<Record<string, VersionState>>>>

export interface VersionState {
  readonly yanked: boolean
  /** Digest by file name. */
  readonly files: Readonly<Record<string, string>>
}

export const EMPTY: IndexState = { title: 'none', projects: {} }

export function withFile(state: IndexState, project: string, version: string, file: string, sha256: string): IndexState {
  const before = state.projects[project]?.[version] ?? { yanked: false, files: {} }
  return withVersion(state, project, version, { ...before, files: { ...before.files, [file]: sha256 } })
}

/** A version goes with its last file, a project with its last version. */
export function withoutFile(state: IndexState, project: string, version: string, file: string): IndexState {
  const before = state.projects[project]?.[version]
  if (before === undefined) return state
  const { [file]: _, ...files } = before.files
  return Object.keys(files).length === 0 ? withoutVersion(state, project, version) : withVersion(state, project, version, { ...before, files })
}

export function withVersion(state: IndexState, project: string, version: string, value: VersionState): IndexState {
  return { ...state, projects: { ...state.projects, [project]: { ...state.projects[project], [version]: value } } }
}

export function withoutVersion(state: IndexState, project: string, version: string): IndexState {
  const { [version]: _, ...versions } = state.projects[project] ?? {}
  return Object.keys(versions).length === 0 ? withoutProject(state, project) : { ...state, projects: { ...state.projects, [project]: versions } }
}

export function withoutProject(state: IndexState, project: string): IndexState {
  const { [project]: _, ...projects } = state.projects
  return { ...state, projects }
}

/** Every file, as it can be asked for. */
export function filesOf(state: IndexState): { project: string; version: string; file: string; sha256: string }[] {
  return Object.entries(state.projects).flatMap(([project, versions]) =>
    Object.entries(versions).flatMap(([version, { files }]) =>
      Object.entries(files).map(([file, sha256]) => ({ project, version, file, sha256 })),
    ),
  )
}
