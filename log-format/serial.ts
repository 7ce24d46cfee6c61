declare const serialBrand: unique symbol

/** Number of a committed transaction: 0, 1, 2, … without a gap. -1 is the head of an empty log. */
export type Serial = number & { readonly [serialBrand]: true }

export const NO_SERIAL = -1 as Serial

/** Brands a whole number from -1 on; throws a RangeError for anything else. */
export function toSerial(value: number): Serial {
  if (!Number.isSafeInteger(value) || value < -1) throw new RangeError(`not a serial: ${value}`)
  return value as Serial
}

export function nextSerial(serial: Serial): Serial {
  return (serial + 1) as Serial
}

/** Decimal digits as in a path or header; `undefined` for anything that is not a serial from 0 on. */
export function parseSerial(text: string): Serial | undefined {
  if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) return undefined
  return toSerial(Number(text))
}
