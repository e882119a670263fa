import { ClusterNodes } from '../../../lib/connection/cluster-nodes.js';
import { openNodes } from '../../../lib/connection/open-nodes.js';
import type { RedisConnection } from '../../../lib/connection/redis-connection.js';
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
