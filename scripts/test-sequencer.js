// The order of the test files: those in which other programs work for half a minute come first, so that none of them is left
// for one worker at the end. Jest goes by the size of files where it has not seen them run, and theirs is small.
import { createRequire } from 'node:module'

const Sequencer = createRequire(import.meta.url)('@jest/test-sequencer').default

export default class SlowFirst extends Sequencer {
  sort(tests) {
    const sorted = super.sort(tests)
    return [...sorted.filter(isSlow), ...sorted.filter((test) => !isSlow(test))]
  }
}

function isSlow({ path }) {
  return path.includes('/test/conformance/')
}
