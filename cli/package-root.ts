import { sep } from 'node:path'

/** Folder of the package: above `dist`, wherever in there a bundler puts this. */
export const PACKAGE_ROOT = import.meta.dirname.slice(0, import.meta.dirname.lastIndexOf(`${sep}dist${sep}`))
