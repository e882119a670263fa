import type { Settings, Tasks } from '../fault/apps/sharing.js';
import { compileApps, type Child } from './fault-child.js';
import type { RedisSource } from '../../lib/connection/redis-source.js';
import { startRedis, type TestRedis } from './redis-server.js';

/** Processes that share entries, and a Redis that stands for their database. */
export interface Fleet {
  readonly source: TestRedis;
  /** Starts one more. */
  start(settings?: Partial<Settings>): Promise<Member>;
  /** The same, if it is not expected to start. */
  launch(settings?: Partial<Settings>): Child;
  /** How often a row was loaded, by whom ever. */
  loadsOf(key: string): number;
  /** Closes those that run, and resolves to how each of all has ended and what it has complained of. */
  end(): Promise<End[]>;
  /** Ends those that a failed test has left. */
  stop(): Promise<void>;
  remove(): Promise<void>;
}

export interface End {
  readonly code: number | NodeJS.Signals;
  readonly errors: string;
  /** What was left open when the application was closed. */
  readonly open: readonly string[];
}

/** How a process ends that had no trouble. */
export const WELL: End = { code: 0, errors: '', open: [] };

export type Member = {
  readonly [Name in keyof Tasks]: (...args: Parameters<Tasks[Name]>) => ReturnType<Tasks[Name]>;
};

/** With a Redis of its own for the entries. */
export interface RedisFleet extends Fleet {
  readonly cache: TestRedis;
}

export async function startFleet(): Promise<RedisFleet> {
  const cache = (await startRedis({ durable: true }))!;
  const fleet = await startFleetAt({ url: cache.url });
  const remove = async () => {
    await fleet.remove();
    await cache.stop();
  };
  return { ...fleet, cache, remove };
}

export async function startFleetAt(cache: RedisSource): Promise<Fleet> {
  const processes = await compileApps();
  const source = (await startRedis())!;
  const running = new Map<Member, Child>();
  const launch = (settings?: Partial<Settings>) =>
    processes.start('sharing', {
      cache,
      source: source.url,
      ...settings,
    } satisfies Settings);
  return {
    source,
    launch,
    start: async (settings) => {
      const child = launch(settings);
      await child.said(/ready/);
      const member = new Proxy({} as Member, {
        // A promise resolves to it, and so asks whether it is one.
        get: (_, name) =>
          name === 'then'
            ? undefined
            : (...args: readonly unknown[]) => child.ask(String(name), ...args),
      });
      running.set(member, child);
      return member;
    },
    loadsOf: (key) => Number(source.cli('GET', `loads of ${key}`)),
    end: () => {
      const ending = [...running].map(async ([member, child]) => {
        const open = await member.close();
        return { open, code: await child.ended(), errors: child.errors() };
      });
      running.clear();
      return Promise.all(ending);
    },
    stop: async () => {
      running.clear();
      await processes.stop();
    },
    remove: async () => {
      await processes.remove();
      await source.stop();
    },
  };
}
