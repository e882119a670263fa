import { setTimeout as delay } from 'node:timers/promises';
import { subjects } from './redis-subjects.mjs';
import { Child, userOf } from './support.mjs';

const CALLERS = 64;
const KEYS = 100;
const LOAD_MS = 5;
const MEASURED_MS = 3_000;

/** Callers who ask for hot keys all the time, and are counted. */
export default {
  subjects,
  async prepare(open) {
    // Clients that nobody listens to tell of each attempt to connect.
    console.error = () => {};
    const { find } = await open(async (id) => {
      await delay(LOAD_MS);
      return userOf(id);
    });
    let calls = 0;
    let errors = 0;
    const caller = async (first) => {
      for (let i = first; ; i++) {
        try {
          await find(`hot:${i % KEYS}`);
          calls++;
        } catch {
          errors++;
          await delay(1);
        }
        // A hit may never leave the process.
        if (calls % 100 === 0) await new Promise(setImmediate);
      }
    };
    for (let i = 0; i < CALLERS; i++) void caller(i);
    return async () => {
      [calls, errors] = [0, 0];
      await delay(MEASURED_MS);
      return { perSecond: (calls * 1000) / MEASURED_MS, errors };
    };
  },
};

/** Before, while and after Redis hangs, and while and after it is dead. */
export async function report(redis) {
  console.log(
    `\nOutages: calls per second of ${CALLERS} callers on ${KEYS} hot keys (errors), ${MEASURED_MS} ms each; a load takes ${LOAD_MS} ms`,
  );
  const phases = [
    ['before', async () => {}],
    ['frozen', async () => redis.freeze()],
    ['back', async () => redis.thaw()],
    ['killed', () => redis.kill()],
    ['back', () => redis.restart()],
  ];
  process.env.BENCH_DEADLINE = '100ms';
  for (const name of Object.keys(subjects)) {
    const child = new Child('redis-outage', name);
    const told = [];
    try {
      for (const [phase, begin] of phases) {
        await begin();
        const { perSecond, errors } = await child.ask(phase);
        told.push(`${phase} ${perSecond.toFixed(0)}${errors > 0 ? ` (${errors})` : ''}`);
      }
    } catch ({ message }) {
      told.push(`not measured: ${message}`);
    }
    console.log(`  ${name.padEnd(40)} ${told.join(', ')}`);
    child.stop();
  }
}
