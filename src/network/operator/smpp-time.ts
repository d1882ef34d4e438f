/** Times as SMPP 3.4 writes them (§7.1.1, appendix B). */

/** How long a message is kept if its sender does not say, in milliseconds. */
const VALIDITY = 3 * 86_400_000;

/** YYMMDDhhmm, as receipts have it. */
export function receiptDate(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\D/g, '').slice(2, 12);
}

/** Milliseconds of an SMPP time, relative (…R) or absolute (…+/-), from `now`. */
export function validityOf(text: string, now: number): number {
  const match = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([R+-])$/.exec(text);
  if (!match) return now + VALIDITY;
  const [year, month, day, hour, minute, second, , quarters] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (match[9] === 'R') {
    return now + ((((year * 365 + month * 30 + day) * 24 + hour) * 60 + minute) * 60 + second) * 1000;
  }
  const offset = quarters * 15 * 60_000 * (match[9] === '+' ? 1 : -1);
  return Date.UTC(2000 + year, month - 1, day, hour, minute, second) - offset;
}
