import fc from 'fast-check';
import type { StoredEntry } from '../../../lib/store/cache-store.js';
import { NO_HISTORY, ServerHistory } from '../../../lib/store/redis/server-history.js';
import {
  decodeRecord,
  encodeRecord,
  encodeVersion,
  judged,
} from '../../../lib/store/redis/stored-record.js';
import { codeOf, versionOf } from '../../../lib/store/redis/version-code.js';
import { holds } from '../../support/property.js';

const exactBigint = fc.bigInt({ min: -(2n ** 85n) + 1n, max: 2n ** 85n - 1n });
const version = fc.oneof(
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }),
  exactBigint,
);
/** Also neighbours, which differ in the last digit only. */
const versions = fc.oneof(
  fc.tuple(version, version),
  exactBigint.map((one) => [one, one + 1n] as const),
  exactBigint.map((one) => [Number(one), one] as const),
);

const generation = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const generations = fc.record({
  epoch: fc.string(),
  family: generation,
  tags: fc.array(fc.tuple(fc.string({ unit: 'binary' }), generation), { maxLength: 4 }),
});
const entries = fc.record<StoredEntry>({
  payload: fc.option(fc.uint8Array({ maxLength: 64 }), { nil: undefined }),
  loadedAt: fc.double({ min: 0, max: 8.64e15, noNaN: true }),
  softExpiry: fc.double({ min: 0, max: 8.64e15, noNaN: true }),
  loadMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  schema: fc.integer({ min: 0, max: 0xffff }),
  version: fc.option(version, { nil: undefined }),
  generations: fc.option(generations, { nil: undefined }),
});

const HISTORY = Buffer.from('0123456789abcdef', 'hex');

const order = <T>(one: T, other: T) => (one < other ? -1 : one > other ? 1 : 0);

describe('a version in Redis', () => {
  it('has its place among all others, numbers and bigints, to the last digit', () =>
    holds(
      fc.property(versions, ([one, other]) => {
        expect(order(codeOf(one), codeOf(other))).toBe(order<number | bigint>(one, other));
        expect(codeOf(one)).toBeGreaterThan(codeOf(undefined));
      }),
      20_000,
    ));

  it('is read as it was written', () =>
    holds(
      fc.property(version, (one) => {
        const read = versionOf(codeOf(one), typeof one === 'bigint');
        // A negative zero is a zero.
        expect(read).toBe(one === 0 ? 0 : one);
      }),
      20_000,
    ));

  it.each([85n, 1_023n, 1_024n, 5_000n])(
    'that is too great for its place is at least not put below a lesser one: 2^%s',
    (power) => {
      const great = 2n ** power;
      for (const one of [great, -great]) {
        expect(codeOf(one) <= codeOf(one + 1n)).toBe(true);
        expect(codeOf(-Infinity) <= codeOf(one) && codeOf(one) <= codeOf(Infinity)).toBe(true);
        expect(codeOf(one)).toBeLessThan(2n ** 96n);
        expect(versionOf(codeOf(one), true)).toBeDefined();
      }
    },
  );

  it('lies in Redis in parts that are compared one after the other', () =>
    holds(
      fc.property(versions, (pair) => {
        const [one, other] = pair.map((each) => {
          const bytes = encodeVersion(codeOf(each));
          return [0, 4, 8].map((at) => bytes.readUInt32LE(at));
        });
        const differing = one!.findIndex((part, i) => part !== other![i]);
        const compared = differing < 0 ? 0 : order(one![differing], other![differing]);
        expect(compared).toBe(order(codeOf(pair[0]), codeOf(pair[1])));
      }),
      5_000,
    ));
});

describe('a record in Redis', () => {
  it('is read as it was written', () =>
    holds(
      fc.property(entries, (entry) => {
        const read = decodeRecord(encodeRecord(entry, HISTORY)!)!;
        expect(read.payload && [...read.payload]).toEqual(entry.payload && [...entry.payload]);
        const written = entry.version === 0 ? { ...entry, version: 0 } : entry;
        expect({ ...read, payload: entry.payload }).toEqual({
          ...written,
          loadedAt: entry.loadedAt,
          softExpiry: entry.softExpiry,
        });
      }),
      5_000,
    ));

  it.each(['loadedAt', 'softExpiry', 'loadMs'] as const)(
    'is readable also if its %s was absurd',
    (field) => {
      const entry = { payload: Buffer.of(1), loadedAt: 5, softExpiry: 5, loadMs: 5, schema: 0 };
      for (const absurd of [-1, -Infinity, Infinity, 1e300, 0.5]) {
        const record = encodeRecord({ ...entry, version: undefined, [field]: absurd }, HISTORY)!;
        expect(decodeRecord(record)).toBeDefined();
      }
    },
  );

  it('is neither written nor read when it is too long', () => {
    const times = { loadedAt: 5, softExpiry: 5, loadMs: 5, schema: 0, version: undefined };
    const longest = encodeRecord({ ...times, payload: Buffer.alloc(16 * 2 ** 20 - 44) }, HISTORY)!;
    expect(decodeRecord(longest)!.payload).toHaveLength(16 * 2 ** 20 - 44);
    expect(decodeRecord(Buffer.concat([longest, Buffer.of(0)]))).toBeUndefined();
    expect(
      encodeRecord({ ...times, payload: Buffer.alloc(16 * 2 ** 20 - 43) }, HISTORY),
    ).toBeUndefined();
  });

  it('is neither written nor read with more of its tags than go with one value', () => {
    const entry = { loadedAt: 5, softExpiry: 5, loadMs: 5, schema: 0, version: undefined };
    const tagged = (length: number) =>
      encodeRecord(
        {
          ...entry,
          payload: undefined,
          generations: { epoch: '', family: 0, tags: [['x'.repeat(length), 0]] },
        },
        HISTORY,
      );
    const frame = '["",0,["",0]]'.length;
    expect(decodeRecord(tagged(2 ** 20 - frame)!)!.generations!.tags[0]![0]).toHaveLength(
      2 ** 20 - frame,
    );
    expect(tagged(2 ** 20 - frame + 1)).toBeUndefined();
  });

  it('that somebody else has written is an entry or nothing, and never a fault', () => {
    const foreign = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 90 }).map((rest) => Uint8Array.of(0xc1, ...rest)),
      fc
        .tuple(
          fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 8, 255),
          fc.uint8Array({ minLength: 30, maxLength: 90 }),
        )
        .map(([flags, rest]) => Uint8Array.of(0xc1, flags, ...rest)),
    );
    const mutated = fc
      .tuple(entries, fc.array(fc.tuple(fc.nat(99), fc.nat(255)), { maxLength: 4 }), fc.nat(99))
      .map(([entry, changes, cut]) => {
        const record = encodeRecord(entry, HISTORY)!;
        for (const [at, byte] of changes) record[at % record.length] = byte;
        return cut < 20 ? record.subarray(0, cut * 4) : record;
      });
    let readable = 0;
    const check = (bytes: Uint8Array) => {
      const entry = decodeRecord(Buffer.from(bytes));
      if (entry === undefined) return;
      readable++;
      for (const time of [entry.loadedAt, entry.softExpiry, entry.loadMs]) {
        expect(Number.isFinite(time) && time >= 0).toBe(true);
      }
      expect(entry.version).not.toBeNaN();
      const { family = 0, tags = [] } = entry.generations ?? {};
      for (const [tag, one] of [...tags, ['', family] as const]) {
        expect([typeof tag, Number.isSafeInteger(one) && one >= 0]).toEqual(['string', true]);
      }
    };
    return holds(fc.property(fc.oneof(mutated, foreign), check), 100_000).then(() =>
      expect(readable).toBeGreaterThan(10_000),
    );
  });
});

describe('a record in Redis, and the history of its server', () => {
  const clock = { monotonic: () => 0 };
  const eightBytes = fc
    .uint8Array({ minLength: 8, maxLength: 8 })
    .map((bytes) => Buffer.from(bytes));
  const infoOf = (history: Buffer) =>
    `# Replication\r\nrole:master\r\nmaster_replid:${history.toString('hex')}${'0'.repeat(24)}\r\nmaster_replid2:0\r\n`;
  const serverSaying = (info: string) => {
    const server = new ServerHistory(clock);
    server.learn(info);
    return server;
  };
  const isDoubtful = (record: Buffer, server: ServerHistory | Buffer) =>
    decodeRecord(judged(record, server))!.isDoubtful === true;

  it('make it doubtful exactly if they differ, and nothing else of it changes', () =>
    holds(
      fc.property(entries, eightBytes, eightBytes, fc.boolean(), (entry, one, two, same) => {
        const [written, server] = [one, same ? one : two];
        const record = encodeRecord(entry, written)!;
        const differs = !written.equals(server) && !server.equals(NO_HISTORY);
        for (const history of [serverSaying(infoOf(server)), server]) {
          expect(isDoubtful(record, history)).toBe(differs);
          const read = decodeRecord(judged(record, history))!;
          expect({ ...read, isDoubtful: undefined }).toEqual(decodeRecord(record));
        }
      }),
      5_000,
    ));

  it('make nothing doubtful where the server does not say which one it has', () => {
    const server = serverSaying('# Replication\r\nrole:master\r\n');
    const [entry] = fc.sample(entries, 1);
    for (const history of [HISTORY, NO_HISTORY]) {
      expect(isDoubtful(encodeRecord(entry!, history)!, server)).toBe(false);
    }
  });

  it('make everything doubtful as long as nothing is known of the server', () => {
    const server = serverSaying(infoOf(HISTORY));
    const [entry] = fc.sample(entries, 1);
    const record = encodeRecord(entry!, HISTORY)!;
    expect(isDoubtful(record, server)).toBe(false);
    server.forget();
    expect(isDoubtful(record, server)).toBe(true);
  });

  it('differ already if one bit does', () => {
    const [entry] = fc.sample(entries, 1);
    const record = encodeRecord(entry!, HISTORY)!;
    for (let bit = 0; bit < 64; bit++) {
      const other = Buffer.from(HISTORY);
      other[bit >> 3]! ^= 1 << (bit & 7);
      expect(isDoubtful(record, serverSaying(infoOf(other)))).toBe(true);
    }
  });
});
