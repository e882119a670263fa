import { setTimeout as delay } from 'node:timers/promises';
import { settle, userOf } from './support.mjs';

const CALLERS = 10_000;

/** What the source sees when many ask at once for something that is not there yet. */
export default {
  title: `Stampede: ${CALLERS.toLocaleString('en')} concurrent calls for a missing key, most loads and least time of 3 rounds`,
  tasks: ['until all have their answer; a load takes 50 ms'],
  rounds: 3,
  unit: 'ms',
  row: (rounds) => ({
    number: Math.min(...rounds.map(({ ms }) => ms)),
    text: `${Math.max(...rounds.map(({ loads }) => loads))
      .toLocaleString('en')
      .padStart(10)} load(s)`,
  }),

  async prepare(open) {
    let loads = 0;
    let round = 0;
    const { find } = await open(async (id) => {
      loads++;
      await delay(50);
      return userOf(id);
    });
    await find('user:warm');
    return async () => {
      await settle();
      loads = 0;
      const key = `user:${round++}`;
      const start = performance.now();
      const values = await Promise.all(Array.from({ length: CALLERS }, () => find(key)));
      const ms = performance.now() - start;
      if (!values.every((value) => value?.id === key)) throw new Error('not all got the value');
      return { ms, loads };
    };
  },
};
