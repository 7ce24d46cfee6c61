/** `groupconfig`: a group of users, which `:name` stands for in lists of who may do something. */
export interface GroupJson {
  readonly name: string
  /** `YYYY-MM-DDTHH:MM:SSZ`. */
  readonly created: string
  readonly members: readonly string[]
}

/** In `list:groupconfig`, by name: all but its members. */
export type ListedGroupJson = Omit<GroupJson, 'members'>
