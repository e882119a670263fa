import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { ManualClock } from '../support/manual-clock.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startNode, type TestRedis } from '../support/redis-server.js';

const FIX = 'see what `redis-cli --cluster check` says of one of its nodes';

(hasRedis() ? describe : describe.skip)('a Redis Cluster without a node for each slot', () => {
  let node: TestRedis;
  let store: RedisStore;
  const open = (startWithout: boolean) => {
    store = new RedisStore({ nodes: [node.url], startWithout }, new ManualClock());
    return store;
  };
  beforeAll(async () => {
    node = await startNode([]);
  });
  afterAll(() => node?.stop());
  afterEach(() => store.close());

  it('is out of reach, as is told with what to do', async () => {
    const outcome = await open(true).check();
    expect(outcome).toEqual({
      outOfReach: expect.stringMatching(/^no node of the cluster has any slot\. Fix: see/),
    });
    await store.close();
    await expect(open(false).check()).rejects.toThrow(
      `Redis is out of reach: no node of the cluster has any slot. Fix: ${FIX}`,
    );
  });

  it('is not looked for again by each call', async () => {
    open(true);
    const asked = () =>
      Number(/cluster\|slots:calls=(\d+)/.exec(node.cli('INFO', 'commandstats'))?.[1] ?? 0);
    const reads = async () => {
      for (let id = 0; id < 20; id++) {
        const reading = store.read({ entity: 'user', id: `${id}` });
        await expect(reading).rejects.toThrow('No node of the cluster has slot');
      }
    };
    const before = asked();
    await reads();
    // Time does not go by here.
    expect(asked() - before).toBe(1);
  });

  it('is out of reach also where only some slots have none', async () => {
    node.cli('CLUSTER', 'ADDSLOTSRANGE', '0', '16000');
    await expect(open(false).check()).rejects.toThrow(
      'no node of the cluster has 383 of its 16384 slots',
    );
  });
});
