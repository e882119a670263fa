import { subjects } from './redis-subjects.mjs';

const WARM_UP_MS = 200;
const MEASURED_MS = 800;
const CALLERS = { '1 caller': 1, '64 callers': 64 };

/** What a key costs that is not in Redis, with a load that takes no time: asked for, loaded, stored. */
export default {
  title: `Redis miss: calls per second for keys that nobody has asked for before, best of 3 rounds of ${MEASURED_MS} ms`,
  subjects,
  base: 'ioredis: GET, JSON.parse',
  tasks: Object.keys(CALLERS),
  rounds: 3,
  unit: '/s',
  row: (rounds) => ({ number: Math.max(...rounds) }),

  async prepare(open) {
    let loads = 0;
    let key = 0;
    const { find } = await open(async (id) => {
      loads++;
      return { id, name: `name of ${id}`, email: `${id}@example.org`, active: true };
    });
    const calls = async (callers, ms) => {
      const began = performance.now();
      let done = 0;
      const caller = async () => {
        while (performance.now() - began < ms) {
          await find(`new:${process.pid}:${key++}`);
          done++;
        }
      };
      await Promise.all(Array.from({ length: callers }, caller));
      return (done * 1000) / (performance.now() - began);
    };
    return async (task) => {
      await calls(CALLERS[task], WARM_UP_MS);
      const before = loads;
      const asked = key;
      const perSecond = await calls(CALLERS[task], MEASURED_MS);
      if (loads - before !== key - asked) throw new Error('not every call was a miss');
      return perSecond;
    };
  },
};
