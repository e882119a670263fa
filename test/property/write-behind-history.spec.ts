import fc from 'fast-check';
import { holds } from '../support/property.js';
import { history, World } from '../support/write-behind-world.js';

const HISTORIES = Number(process.env.HISTORIES ?? 20_000);

const exactlyOnce = (ledgerRemembers: boolean) =>
  fc.asyncProperty(history, async (history) => {
    const world = new World(history, ledgerRemembers);
    await world.live();
    expect(world.faults()).toEqual([]);
  });

describe('random histories of mutations, flushes and failures', () => {
  it(
    'have every accepted mutation in the database exactly once and in its order, or among the dead letters',
    async () => {
      await holds(exactlyOnce(true), HISTORIES);
    },
    HISTORIES * 50,
  );

  it('do not, if the ledger forgets: the test would notice', async () => {
    const { failed, counterexample } = await fc.check(exactlyOnce(false), {
      numRuns: 2_000,
      endOnFailure: true,
    });
    expect({ failed, found: counterexample !== null }).toEqual({ failed: true, found: true });
  });
});
