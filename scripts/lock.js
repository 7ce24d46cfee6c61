// One set-up at a time in one checkout: `npm start` and `npm test` in two terminals must not build into each other.
import { closeSync, openSync, rmSync, statSync, utimesSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

const BEAT_MS = 1000
/** A holder beats every second, so a file this old was left behind by a process that was killed. */
const ABANDONED_AFTER_MS = 10_000

/** Runs `action` while holding `file`; waits, after saying so, while another process holds it. */
export async function withLock(file, say, action) {
  await acquire(file, say)
  const beat = setInterval(() => touch(file), BEAT_MS)
  try {
    return await action()
  } finally {
    clearInterval(beat)
    rmSync(file, { force: true })
  }
}

async function acquire(file, say) {
  let said = false
  while (!create(file)) {
    if (isAbandoned(file)) {
      rmSync(file, { force: true })
      continue
    }
    if (!said) say('waiting for another set-up in this folder to finish')
    said = true
    await pause(200)
  }
}

function create(file) {
  try {
    closeSync(openSync(file, 'wx'))
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

function isAbandoned(file) {
  const held = statSync(file, { throwIfNoEntry: false })
  return held !== undefined && Date.now() - held.mtimeMs > ABANDONED_AFTER_MS
}

function touch(file) {
  const now = new Date()
  try {
    utimesSync(file, now, now)
  } catch {
    // Somebody removed the file by hand: the work goes on, only unprotected.
  }
}
