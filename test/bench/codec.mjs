import v8 from 'node:v8';
import { decode, encode } from '../../dist/entry/codec.js';
import { seal } from '../../dist/entry/seal.js';
import { settle } from './support.mjs';
import { peer } from './subjects.mjs';

const STRETCHES = 100;
const STRETCH_NS = 500_000;
const MAX_BYTES = 1 << 24;
const reader = { maxBytes: MAX_BYTES, revives: false, weighs: false };

const row = (id) => ({
  id: `u_${id}`,
  email: 'ada.lovelace@example.com',
  name: 'Ada Lovelace',
  age: 36,
  active: true,
  role: 'admin',
  country: 'GB',
  score: 12.75,
  team: null,
  createdAt: '2024-03-01T10:00:00.000Z',
});
const profile = {
  ...row(1_048_576),
  address: { street: '12 St James Square', city: 'London', geo: { lat: 51.5072, lon: -0.1276 } },
  tags: ['math', 'engine', 'poet', 'first'],
  bio: 'She wrote the first program. '.repeat(10),
  settings: { theme: 'dark', lang: 'en', mail: { news: true, push: false, digest: false } },
  grants: Array.from({ length: 7 }, (_, i) => ({ on: `project ${i}`, read: true, write: i < 3 })),
};
const orders = Array.from({ length: 57 }, (_, i) => ({
  id: `o_${i}`,
  total: 19.99 + i,
  currency: 'EUR',
  state: 'shipped',
  placedAt: '2024-03-01T10:00:00.000Z',
  lines: [{ sku: `SKU-${i}`, qty: (i % 5) + 1, price: 9.5 }],
}));
const rich = {
  ...row(1),
  team: undefined,
  createdAt: new Date(1_700_000_000_000),
  updatedAt: new Date(1_700_000_000_001),
  balance: 12345678901234567890n,
  attributes: new Map([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]),
};
const values = {
  'a row of 200 bytes': row(1_048_576),
  'a row of 1 kB': profile,
  'a row of 10 kB': { ...profile, orders },
  '100 rows of 200 bytes': Array.from({ length: 100 }, (_, i) => row(i)),
  'a row with undefined, dates, a bigint and a Map': rich,
};
const tasks = Object.keys(values).flatMap((name) => [`${name}, read`, `${name}, written`]);

const json = {
  write: (value) => Buffer.from(JSON.stringify(value)),
  read: (bytes) => JSON.parse(bytes.toString()),
};

const subjects = {
  // What an application does by itself. It returns something else than it was given, so it is no candidate.
  JSON: () => json,
  'JSON, then sealed': () => ({ ...json, read: (bytes) => seal(json.read(bytes), false).value }),
  'nestjs-cache-contract: decode, encode': () => ({
    write: (value) => encode(value, MAX_BYTES),
    read: (bytes) => decode(bytes, reader).value,
  }),
  'node:v8: deserialize, serialize': () => ({ write: v8.serialize, read: v8.deserialize }),
  // Not among the peers: both would install native parts. To see them:
  // npm install --prefix test/bench --no-save --omit=optional --ignore-scripts msgpackr cbor-x
  'msgpackr: without records': async () => {
    const { Packr } = await peer('msgpackr');
    const packr = new Packr({ useRecords: false, moreTypes: true });
    return { write: (value) => packr.pack(value), read: (bytes) => packr.unpack(bytes) };
  },
  'msgpackr: records, which generate code': async () => {
    const { Packr } = await peer('msgpackr');
    const packr = new Packr({ useRecords: true, moreTypes: true });
    return { write: (value) => packr.pack(value), read: (bytes) => packr.unpack(bytes) };
  },
  'cbor-x: without records': async () => {
    const { Encoder } = await peer('cbor-x');
    const encoder = new Encoder({ useRecords: false });
    return { write: (value) => encoder.encode(value), read: (bytes) => encoder.decode(bytes) };
  },
};

/** What a value costs on its way to a remote store and back. */
export default {
  title: 'Codec: one value, best of 5 rounds',
  subjects,
  base: 'JSON',
  tasks,
  rounds: 5,
  unit: 'ns',
  row: (rounds) => ({
    number: Math.min(...rounds.map(({ ns }) => ns)),
    text: `${rounds[0].bytes.toLocaleString('en').padStart(10)} bytes`,
  }),

  async prepare(open) {
    const { read, write } = await open();
    return async (task) => {
      const [name, direction] = split(task);
      const value = seal(values[name], false).value;
      // A copy: some writers reuse the memory of what they returned.
      const bytes = Buffer.from(write(value));
      await settle();
      const ns = time(direction === 'read' ? () => read(bytes) : () => write(value));
      return { ns, bytes: bytes.length };
    };
  },
};

function split(task) {
  const comma = task.lastIndexOf(', ');
  return [task.slice(0, comma), task.slice(comma + 2)];
}

/** The best of many short stretches: a busy machine interrupts longer ones. */
function time(run) {
  let runs = 1;
  while (stretch(run, runs) < STRETCH_NS) runs *= 2;
  let best = Infinity;
  for (let i = 0; i < STRETCHES; i++) best = Math.min(best, stretch(run, runs));
  return best / runs;
}

function stretch(run, runs) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < runs; i++) run();
  return Number(process.hrtime.bigint() - start);
}
