import type { Settings, Tasks } from '../fault/apps/sharing.js';
import { compileApps, type Child } from './fault-child.js';
import { startRedis, type TestRedis } from './redis-server.js';

/** Processes that share a Redis, and another one that stands for their database. */
export interface Fleet {
  readonly cache: TestRedis;
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

export async function startFleet(): Promise<Fleet> {
  const processes = await compileApps();
  const [cache, source] = (await Promise.all([startRedis({ durable: true }), startRedis()])) as [
    TestRedis,
    TestRedis,
  ];
  const running = new Map<Member, Child>();
  const launch = (settings?: Partial<Settings>) =>
    processes.start('sharing', {
      cache: cache.url,
      source: source.url,
      ...settings,
    } satisfies Settings);
  return {
    cache,
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
      await Promise.all([cache.stop(), source.stop()]);
    },
  };
}
