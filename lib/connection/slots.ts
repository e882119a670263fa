import type { NodeAddress } from './redis-access.js';

/** A cluster shares its keys out among its nodes by so many numbers. */
export const SLOTS = 16_384;

/** CRC-16/XMODEM, as Redis Cluster counts. */
const CRC = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
  return crc;
});

/** Keys with the same text in their first pair of braces have one slot, as all have that belong to one entry or lock. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  const bytes = Buffer.from(close > open + 1 ? key.slice(open + 1, close) : key);
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ CRC[(crc >> 8) ^ byte]!;
  return crc % SLOTS;
}

/** Who has which slots, as one node of a cluster sees it. */
export interface Layout {
  readonly ranges: readonly {
    readonly first: number;
    readonly last: number;
    readonly primary: NodeAddress;
  }[];
  /** Primaries and replicas. */
  readonly nodes: readonly NodeAddress[];
}

export function nameOf({ host, port }: NodeAddress): string {
  return `${host}:${port}`;
}

/** A node that does not know how it is called says nothing, or `?` where it was to be called by a name. */
export function hostOr(other: string, host: string | null): string {
  return host === null || host === '' || host === '?' ? other : host;
}

type Range = readonly [
  first: number,
  last: number,
  ...nodes: readonly (readonly [host: string | null, port: number, ...unknown[]])[],
];

/** What CLUSTER SLOTS has answered. A node that does not say where it is is where the one is that was `asked`. */
export function layoutOf(
  answer: unknown,
  asked: NodeAddress,
  translate: (address: NodeAddress) => NodeAddress,
): Layout {
  const ranges = (answer as readonly Range[]).map(([first, last, ...nodes]) => {
    const addresses = nodes.map(([host, port]) =>
      translate({ host: hostOr(asked.host, host), port }),
    );
    return { first, last, primary: addresses[0]!, addresses };
  });
  return { ranges, nodes: ranges.flatMap(({ addresses }) => addresses) };
}
