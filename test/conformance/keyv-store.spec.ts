import { jest } from '@jest/globals';
import { Keyv } from 'keyv';
import { KeyvSqlite } from '../support/keyv-sqlite.js';
import { KeyvTime } from '../support/keyv-time.js';
import { repeatableRandom, UnreliableStore } from '../support/unreliable-store.js';
import { describeCacheStore } from './cache-store.js';
import { describeStoreUnderFaults } from './store/histories.js';

// Histories take their time on a busy machine.
jest.setTimeout(120_000);

let time: KeyvTime | undefined;
let last: Keyv | undefined;
afterEach(() => end());

async function end() {
  time?.end();
  await last?.disconnect();
  last = undefined;
}

async function create(keyv: Keyv) {
  await end();
  last = keyv;
  const mine = (time = new KeyvTime());
  const store = mine.store(keyv);
  return { store, other: store, advance: (ms: number) => mine.pass(ms) };
}

describeCacheStore('a store on a Keyv in memory, within a process', {
  create: () => create(new Keyv()),
});

describeCacheStore('a store on a Keyv that leaves objects as they are, within a process', {
  create: () => create(new Keyv({ serialize: undefined, deserialize: undefined } as never)),
  runs: 40,
});

describeCacheStore('a store on a Keyv in SQLite, within a process', {
  create: () => create(new Keyv({ store: new KeyvSqlite() })),
  runs: 40,
});

describeStoreUnderFaults('a store on a Keyv, of which one caller has a bad connection', {
  runs: 1_000,
  create: async () => {
    const { store, advance } = await create(new Keyv());
    const other = new UnreliableStore(store, repeatableRandom());
    const deliver = async (ms: number) => {
      await other.deliver();
      await advance(ms);
    };
    return { store, other, advance: deliver };
  },
});
