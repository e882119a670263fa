import { subjects } from './redis-subjects.mjs';

const KEYS = 1_000;
const WARM_UP_MS = 200;
const MEASURED_MS = 800;
const SIZES = { '200 B': 200, '10 kB': 10_000 };
const CALLERS = [1, 64, 256];

const tasks = Object.fromEntries(
  Object.keys(SIZES).flatMap((size) =>
    CALLERS.map((callers) => [`${size}, ${callers} callers`, { size, callers }]),
  ),
);

/** What a process can read of a Redis on the same machine: each caller asks again as soon as it has its answer. */
export default {
  title: `Redis hit: calls per second, best of 3 rounds of ${MEASURED_MS} ms`,
  subjects,
  base: 'ioredis: GET, JSON.parse',
  tasks: Object.keys(tasks),
  rounds: 3,
  unit: '/s',
  row: (rounds) => ({ number: Math.max(...rounds) }),

  async prepare(open) {
    let loads = 0;
    const { find } = await open(async (id) => {
      loads++;
      return rowOf(id);
    });
    for (const size of Object.keys(SIZES)) {
      for (let i = 0; i < KEYS; i++) await find(`${size}:${i}`);
    }
    return async (task) => {
      const { size, callers } = tasks[task];
      await calls(find, size, callers, WARM_UP_MS);
      loads = 0;
      const perSecond = await calls(find, size, callers, MEASURED_MS);
      if (loads > 0) throw new Error(`${loads} calls were misses`);
      return perSecond;
    };
  },
};

async function calls(find, size, callers, ms) {
  const began = performance.now();
  let done = 0;
  let key = 0;
  const caller = async () => {
    while (performance.now() - began < ms) {
      await find(`${size}:${(key = (key + 1) % KEYS)}`);
      done++;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return (done * 1000) / (performance.now() - began);
}

function rowOf(id) {
  const [size] = id.split(':');
  const row = { id, name: `name of ${id}`, email: `${id}@example.org`, active: true, logins: [] };
  while (JSON.stringify(row).length < SIZES[size]) {
    row.logins.push({ at: 1_700_000_000 + row.logins.length, from: 'somewhere' });
  }
  return row;
}
