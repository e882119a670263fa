import { AsyncLocalStorage } from 'node:async_hooks';
import { settle, userOf } from './support.mjs';

const CALLS = 100_000;
const keys = Array.from({ length: 10_000 }, (_, i) => `user:${i}`);
const one = new Array(4096).fill(keys[1]);
const zipf = zipfian(keys, 0.99, 1 << 16);
const direct = (action) => action();
const contexts = new AsyncLocalStorage();

// The order matters: once a process has used an AsyncLocalStorage, all its awaits are dearer before Node 24.
const tasks = {
  'one key': { sequence: one, within: direct },
  '10,000 keys, zipf 0.99': { sequence: zipf, within: direct },
  'the same in an application that uses AsyncLocalStorage, as for request contexts or traces': {
    sequence: zipf,
    within: (action) => contexts.run({}, action),
  },
};

/** What a hit costs its caller, awaited. */
export default {
  title: `Hit: ${CALLS.toLocaleString('en')} awaited calls, best of 5 rounds`,
  tasks: Object.keys(tasks),
  rounds: 5,
  unit: 'ns',
  row: (rounds) => ({ number: Math.min(...rounds) }),

  async prepare(open) {
    let loads = 0;
    const { find } = await open(async (id) => {
      loads++;
      return userOf(id);
    });
    for (const key of keys) {
      const value = await find(key);
      if (value?.id !== key) throw new Error(`answered ${JSON.stringify(value)} for ${key}`);
    }
    return async (task) => {
      const { sequence, within } = tasks[task];
      await settle();
      loads = 0;
      const ns = await within(() => time(find, sequence));
      if (loads > 0) throw new Error(`${loads} calls were misses`);
      return ns;
    };
  },
};

async function time(find, sequence) {
  const mask = sequence.length - 1;
  const start = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) await find(sequence[i & mask]);
  return Number(process.hrtime.bigint() - start) / CALLS;
}

function zipfian(items, exponent, length) {
  const cumulative = [];
  let total = 0;
  items.forEach((_, i) => cumulative.push((total += 1 / (i + 1) ** exponent)));
  let state = 42;
  const random = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
  return Array.from({ length }, () => {
    const point = random() * total;
    let low = 0;
    for (let high = items.length - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] < point) low = middle + 1;
      else high = middle;
    }
    return items[low];
  });
}
