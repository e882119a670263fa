// One subject in a process of its own: `node --expose-gc child.mjs <program> <subject>`, then a task per message.
//
// What one library does to its process is not to be paid by the others: the first use of AsyncLocalStorage, for one,
// makes every await of a process several times as dear before Node 24.
import { subjects } from './subjects.mjs';

const [program, subject] = process.argv.slice(2);
const { default: definition } = await import(`./${program}.mjs`);
let measure;

process.on('message', async (task) => {
  try {
    measure ??= await definition.prepare((definition.subjects ?? subjects)[subject]);
    process.send({ result: await measure(task) });
  } catch (error) {
    process.send({ error: String(error?.message ?? error).split('\n')[0] });
  }
});

// Not to outlive the one who asks, whatever timers the subject has.
process.on('disconnect', () => process.exit());
