/** Which changes a request is about: they stand in it by name, or in the signed statements that it carries. */

const CHANGE = /^[0-9a-f]{16}$/;
/** Compact JWS (RFC 7515 §7.1), which begins as its header does. */
const JWS = /^eyJ[\w-]*\.([\w-]+)\.[\w-]*$/;
/** Longest statement that is looked into, in characters. */
const MOST = 40_000;

/** One item of a batch: the change it is about, and why it was refused if it was. */
export interface About {
  change: string;
  code: string | undefined;
}

/** What a statement says that it is about; unverified, so good for nothing but to be found by. */
function inStatement(text: string): string | undefined {
  const payload = text.length <= MOST ? JWS.exec(text)?.[1] : undefined;
  if (payload === undefined) return undefined;
  try {
    const { change } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { change?: unknown };
    return typeof change === 'string' && CHANGE.test(change) ? change : undefined;
  } catch {
    return undefined;
  }
}

function changeOf(item: unknown): string | undefined {
  if (typeof item === 'string') return CHANGE.test(item) ? item : inStatement(item);
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return undefined;
  const { change } = item as { change?: unknown };
  if (typeof change === 'string' && CHANGE.test(change)) return change;
  for (const value of Object.values(item)) {
    const found = typeof value === 'string' ? inStatement(value) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The items of a batch: the body itself, or the first list in it. */
function itemsOf(body: unknown): readonly unknown[] | undefined {
  if (Array.isArray(body)) return body;
  if (typeof body !== 'object' || body === null) return undefined;
  return Object.values(body).find((value): value is unknown[] => Array.isArray(value));
}

const codeOf = (result: unknown): string | undefined => {
  const { code } = (typeof result === 'object' && result !== null ? result : {}) as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
};

/** The codes with which items of a batch were refused. */
export function codesIn(answer: unknown): string[] {
  return (itemsOf(answer) ?? []).flatMap((result) => codeOf(result) ?? []);
}

/**
 * The changes that a request is about, in the order of its items, each once.
 * @param answer whose items say what became of those of the body, where there are as many
 */
export function changesIn(body: unknown, answer?: unknown): About[] {
  const items = itemsOf(body);
  const results = itemsOf(answer);
  const found = new Map<string, About>();
  (items ?? [body]).forEach((item, i) => {
    const change = changeOf(item);
    if (change === undefined || found.has(change)) return;
    found.set(change, { change, code: results?.length === items?.length ? codeOf(results?.[i]) : undefined });
  });
  return [...found.values()];
}
