import type { ClusterNodes } from '../../../lib/connection/cluster-nodes.js';
import { openNodes } from '../../../lib/connection/open-nodes.js';
import type { RedisConnection } from '../../../lib/connection/redis-connection.js';
import { SLOTS, type Layout } from '../../../lib/connection/slots.js';
import { SystemClock } from '../../../lib/time/clock.js';
import { eventually } from '../../support/engine.js';
import { ManualClock } from '../../support/manual-clock.js';
import { MuteServers } from '../../support/mute-servers.js';

describe('a cluster of which all nodes hang', () => {
  let mute: MuteServers;
  let nodes: ClusterNodes<RedisConnection>;
  const open = (urls: readonly string[]) => {
    // Its time does not go by: nobody is given up.
    const opened = openNodes({ nodes: urls }, 'RedisLock', new ManualClock(), (one) => one);
    nodes = opened as ClusterNodes<RedisConnection>;
  };
  beforeEach(() => void (mute = new MuteServers()));
  afterEach(async () => {
    await nodes.close();
    await mute.close();
  });

  it('is asked by three connections at once, since one may hang, and by none once it is closed', async () => {
    open(await mute.open(9));
    const looking = nodes.send('key', () => Promise.resolve()).catch(() => 'no answer');
    await eventually(() => mute.connections === 3);
    await nodes.close();
    expect(await looking).toBe('no answer');
    await expect(nodes.primaries()).rejects.toThrow('closed');
    expect(mute.connections).toBe(3);
  });

  it('is asked once where one node is named more than once', async () => {
    const [url] = await mute.open(1);
    open([url!, url!, url!]);
    const looking = nodes.send('key', () => Promise.resolve()).catch(() => 'no answer');
    await eventually(() => mute.connections > 0);
    expect(nodes['layout']['scouts'].size).toBe(1);
    await nodes.close();
    expect(await looking).toBe('no answer');
    expect(mute.connections).toBe(1);
  });
});

describe('who looks who has what in a cluster', () => {
  const primary = { host: '127.0.0.1', port: 1 };
  const layout: Layout = { ranges: [{ first: 0, last: SLOTS - 1, primary }], nodes: [primary] };

  function setUp() {
    const clock = new ManualClock();
    const silent: (() => void)[] = [];
    const source = { nodes: ['redis://127.0.0.1:1'] };
    const nodes = openNodes(source, 'RedisLock', clock, (connection, onSilent) => {
      silent.push(onSilent);
      return connection;
    }) as ClusterNodes<RedisConnection>;
    const looks: ((found: Layout) => void)[] = [];
    nodes['layout'].ask = () => new Promise((resolve) => looks.push(resolve));
    return { clock, silent, nodes, looks };
  }
  const settled = () => new Promise(setImmediate);

  it('does so ten times a second at most, however often there is a reason', async () => {
    const { clock, silent, nodes, looks } = setUp();
    const found = nodes.send('key', async () => 'found');
    looks[0]!(layout);
    expect(await found).toBe('found');
    for (let at = 0; at < 100; at++) {
      silent[0]!();
      expect(looks).toHaveLength(1);
      clock.advance(1);
      await settled();
    }
    expect(looks).toHaveLength(2);
    looks[1]!(layout);
    await nodes.close();
  });

  it('has nothing left when he is told after he was closed', async () => {
    const { nodes, looks } = setUp();
    const asked = nodes.send('key', async () => 'found').catch(() => 'no answer');
    const closed = nodes.close();
    looks[0]!(layout);
    await closed;
    expect(await asked).toBe('no answer');
    expect(nodes.placeOf('key')).toBe('');
    expect(nodes['known'].size).toBe(0);
  });
});

describe('who listens to a node of a cluster', () => {
  it('listens to another one when it has gone', async () => {
    const mute = new MuteServers();
    const urls = await mute.open(3);
    const nodes = openNodes({ nodes: urls }, 'RedisLock', new SystemClock(), (one) => one);
    const { subscriber } = nodes;
    Object.assign(subscriber.client.options, { host: '127.0.0.1', port: 1 });
    await expect(subscriber.connect()).rejects.toThrow('nothing listens');
    await eventually(() => mute.connections === 1);
    await nodes.close();
    await mute.close();
  });
});
