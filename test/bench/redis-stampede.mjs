import { setTimeout as delay } from 'node:timers/promises';
import { subjects } from './redis-subjects.mjs';
import { Child, userOf } from './support.mjs';

const PROCESSES = 8;
const CALLERS = 200;
const ROUNDS = 5;
const LOAD_MS = 50;

/** What one of the processes does in a round. */
export default {
  subjects,
  async prepare(open) {
    let loads = 0;
    const { find } = await open(async (id) => {
      loads++;
      await delay(LOAD_MS);
      return userOf(id);
    });
    await find(`warm:${process.pid}`);
    return async (key) => {
      loads = 0;
      const call = async () => {
        const began = performance.now();
        await find(key);
        return performance.now() - began;
      };
      const ms = await Promise.all(Array.from({ length: CALLERS }, call));
      return { ms, loads };
    };
  },
};

/** All processes ask for the same missing key at once, which is gone again for the next subject. */
export async function report() {
  console.log(
    `\nFleet stampede: ${PROCESSES} processes, ${CALLERS} callers in each, one missing key; a load takes ${LOAD_MS} ms; ${ROUNDS} rounds`,
  );
  for (const name of Object.keys(subjects)) {
    const children = Array.from({ length: PROCESSES }, () => new Child('redis-stampede', name));
    try {
      const ms = [];
      let loads = 0;
      for (let round = 0; round <= ROUNDS; round++) {
        const all = await Promise.all(children.map((child) => child.ask(`round:${round}`)));
        // The first one finds connections that are not there yet.
        if (round === 0) continue;
        ms.push(...all.flatMap((one) => one.ms));
        loads = Math.max(
          loads,
          all.reduce((sum, one) => sum + one.loads, 0),
        );
      }
      ms.sort((a, b) => a - b);
      const p99 = ms[Math.floor(ms.length * 0.99)];
      console.log(`  ${name.padEnd(40)}${p99.toFixed(0).padStart(8)} ms p99, most loads ${loads}`);
    } catch (error) {
      console.log(`  ${name.padEnd(40)}   not measured: ${error.message}`);
    }
    for (const child of children) child.stop();
  }
}
