import { CAPACITY as COUNT } from './subjects.mjs';
import { settle, userOf } from './support.mjs';

/** What a small entry weighs, with its key, its value and its share of the table. */
export default {
  title: `Memory: ${COUNT.toLocaleString('en')} entries of { id, name } in a table for as many`,
  tasks: ['bytes per entry'],
  rounds: 1,
  unit: 'B',
  row: ([number]) => ({ number }),

  async prepare(open) {
    let loads = 0;
    const load = async (id) => {
      loads++;
      return userOf(id);
    };
    // A first one brings in the code; the second is weighed whole, with the tables it reserves when it is made.
    await (await open(load)).find('user:0');
    return async () => {
      const before = await weight();
      const { find } = await open(load);
      await ask(find);
      const bytes = ((await weight()) - before) / COUNT;
      loads = 0;
      await ask(find);
      if (loads > 0) throw new Error(`${loads} of ${COUNT} entries were not kept`);
      return bytes;
    };
  },
};

// Keys made anew each time: an entry keeps its own.
async function ask(find) {
  for (let i = 0; i < COUNT; i++) await find(`user:${i}`);
}

async function weight() {
  await settle();
  const { heapUsed, external } = process.memoryUsage();
  // Tables of numbers, such as those of lru-cache, are outside the heap.
  return heapUsed + external;
}
