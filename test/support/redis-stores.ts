import type { RedisSource } from '../../lib/connection/redis-source.js';
import { eventually } from './engine.js';
import type { TestRedis } from './redis-server.js';
import { StoreTime } from './store-time.js';

/** What a store is opened with, and the servers that have its keys. */
export interface Place {
  readonly source: RedisSource;
  readonly servers: readonly TestRedis[];
}

/** Pairs of stores for the conformance suite: two processes, as Redis sees it, that can be woken. */
export class RedisStores {
  private created = 0;
  private closeLast = async () => {};

  constructor(private readonly place: () => Place) {}

  readonly create = async () => {
    await this.closeLast();
    const { source, servers } = this.place();
    const namespace = `test${++this.created}`;
    const time = new StoreTime(servers, namespace);
    await time.pass(0);
    const [store, other] = [time.store(source), time.store(source)];
    const stores = [store, other];
    this.closeLast = async () => {
      await Promise.all(stores.map((one) => one.close()));
      time.close();
    };
    let heard = 0;
    const marks = `marks of ${namespace}`;
    for (const one of stores) {
      await one.check();
      await one.invalidate({ entity: 'warm', id: 'up' });
      await eventually(() => one['waiters'].channel !== undefined);
      const { client } = one['nodes'].subscriber;
      await client.subscribe(marks);
      client.on('message', (channel) => (heard += channel === marks ? 1 : 0));
    }
    /** What any server has said before is heard. */
    const settle = async () => {
      const expected = heard + stores.length * servers.length;
      await Promise.all(time.servers.map((server) => server.publish(marks, '')));
      await eventually(() => heard === expected);
      await new Promise(setImmediate);
    };
    const advance = async (ms: number) => {
      await time.pass(ms);
      await settle();
    };
    return { store, other, advance };
  };

  close(): Promise<void> {
    return this.closeLast();
  }
}
