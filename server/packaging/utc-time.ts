const DAY_MS = 86_400_000
const TWO_DIGITS = Array.from({ length: 100 }, (_, number) => String(number).padStart(2, '0'))

/** The day that was written last: files of a project often came on the same. */
let lastDay = { number: NaN, text: '' }

/**
 * RFC 3339 in UTC with milliseconds, `2024-01-31T23:59:59.999Z`, as
 * `Date.toISOString` writes it and many times faster: a page holds thousands.
 * `time` is ms since the epoch. Throws a RangeError for what is no time.
 */
export function utcTime(time: number): string {
  const number = Math.floor(time / DAY_MS)
  if (number !== lastDay.number) lastDay = { number, text: dayText(number) }
  const ms = Math.floor(time - number * DAY_MS)
  const [hours, minutes, seconds] = [Math.floor(ms / 3_600_000), Math.floor((ms % 3_600_000) / 60_000), Math.floor((ms % 60_000) / 1000)]
  return `${lastDay.text}T${TWO_DIGITS[hours]}:${TWO_DIGITS[minutes]}:${TWO_DIGITS[seconds]}.${threeDigits(ms % 1000)}Z`
}

function dayText(number: number): string {
  const text = new Date(number * DAY_MS).toISOString()
  return text.slice(0, text.indexOf('T'))
}

function threeDigits(number: number): string {
  return number < 100 ? `0${TWO_DIGITS[number]}` : String(number)
}
