import type { Generations } from '../cache-store.js';

/** More tags than that do not go with one value. */
export const MOST_GENERATIONS_BYTES = 2 ** 20;

/** `["<epoch>", <family>, ["<tag>", <generation>], …]`: what has no form in UTF-8 is written as JSON writes it. */
export function encodeGenerations({ epoch, family, tags }: Generations): Buffer {
  return Buffer.from(JSON.stringify([epoch, family, ...tags]));
}

/** Nothing if it is none of ours, whatever it is. */
export function decodeGenerations(bytes: Buffer): Generations | undefined {
  let said: unknown;
  try {
    said = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (!Array.isArray(said)) return undefined;
  const [epoch, family, ...tags] = said as readonly unknown[];
  if (typeof epoch !== 'string' || !isGeneration(family) || !tags.every(isTag)) return undefined;
  return { epoch, family, tags };
}

function isTag(value: unknown): value is [tag: string, generation: number] {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    typeof value[0] === 'string' &&
    isGeneration(value[1])
  );
}

function isGeneration(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
