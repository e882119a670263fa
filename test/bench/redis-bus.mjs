// What it takes until copies in other processes are gone, beside a bare message of Redis.
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { application } from './subjects.mjs';
import { Child } from './support.mjs';

const SUBSCRIBERS = [2, 20, 100];
const MOST_PROCESSES = 4;
const MESSAGES = 500;
const WARM_UP = 100;
const BETWEEN_MS = 2;
const IDLE_MS = 2_000;
const DELIVERED_WITHIN_MS = 10_000;

/** `subscribe` makes one connection that hears; `publisher` resolves to what tells all of them, and to when that is done. */
const subjects = {
  'ioredis: PUBLISH': {
    subscribe: async (heard) => {
      const redis = new Redis(process.env.BENCH_REDIS_URL);
      redis.on('message', (_, id) => heard(id));
      await redis.subscribe('bench');
    },
    publisher: async () => {
      const redis = new Redis(process.env.BENCH_REDIS_URL);
      return (id) => redis.publish('bench', id);
    },
  },
  'nestjs-cache-contract: invalidate': {
    subscribe: async (heard) => {
      const listening = withResolvers();
      await ours((definition) => ({
        ...definition,
        open: (parts) => {
          const store = definition.open(parts);
          const listen = store.log.listen.bind(store.log);
          store.log.listen = ({ onMessage, onListening }) =>
            listen({
              // When it returns the copies are gone.
              onMessage: (message) => {
                onMessage(message);
                for (const { id } of message.entries) heard(id);
              },
              onListening: () => {
                onListening();
                listening.resolve();
              },
            });
          return store;
        },
      }));
      await listening.promise;
    },
    publisher: async () => {
      const { cache, Users } = await ours((definition) => definition);
      return (id) => cache.invalidate(Users, id);
    },
  },
};

/** What one of the processes does: it hears, or it publishes. Times are of one clock for all of this machine. */
export default {
  subjects,
  async prepare({ subscribe, publisher }) {
    let publish;
    let heard = [];
    const tasks = {
      subscribe: async ({ connections }) => {
        const all = Array.from({ length: connections }, () =>
          subscribe((id) => heard.push([id, now()])),
        );
        await Promise.all(all);
      },
      publish: async ({ ids }) => {
        publish ??= await publisher();
        const sent = [];
        for (const id of ids) {
          const at = now();
          await publish(id);
          sent.push([id, at]);
          await delay(BETWEEN_MS);
        }
        return sent;
      },
      count: async () => heard.length,
      told: async () => {
        const told = heard;
        heard = [];
        return told;
      },
    };
    return (task) => tasks[task.name](task);
  },
};

/** Latency of the delivery, and what it costs the server, for some numbers of those who hear. */
export async function report(redis) {
  console.log(
    `\nBus: from the call in one process until ${MESSAGES} messages, one after the other, have arrived in others; what the server computes for one`,
  );
  for (const subscribers of SUBSCRIBERS) {
    console.log(`\n  ${subscribers} subscribers`);
    for (const name of Object.keys(subjects)) {
      const length = Math.min(MOST_PROCESSES, subscribers);
      const hearing = Array.from({ length }, () => new Child('redis-bus', name));
      const writing = new Child('redis-bus', name);
      try {
        const { ms, micros, idleMs } = await measured(redis, hearing, writing, subscribers);
        const at = (part) => ms[Math.floor(ms.length * part)].toFixed(2).padStart(7);
        console.log(
          `  ${name.padEnd(40)}${at(0.5)} ms p50 ${at(0.99)} ms p99 ${micros.toFixed(0).padStart(6)} µs of the server, ${idleMs.toFixed(1)} ms a second while nothing is told`,
        );
      } catch (error) {
        console.log(`  ${name.padEnd(40)}   not measured: ${error.message}`);
      }
      for (const child of [...hearing, writing]) child.stop();
    }
  }
}

async function measured(redis, hearing, writing, subscribers) {
  for (const [index, child] of hearing.entries()) {
    const connections = Math.floor((subscribers + index) / hearing.length);
    await child.ask({ name: 'subscribe', connections });
  }
  const ids = (count, from) => Array.from({ length: count }, (_, index) => `${from}:${index}`);
  await writing.ask({ name: 'publish', ids: ids(WARM_UP, 'warm') });
  await delivered(hearing, WARM_UP * subscribers);
  await all(hearing, 'told');

  const idleFrom = computed(redis);
  await delay(IDLE_MS);
  const idle = (computed(redis) - idleFrom) / IDLE_MS;

  const [from, began] = [computed(redis), performance.now()];
  const sent = new Map(await writing.ask({ name: 'publish', ids: ids(MESSAGES, 'told') }));
  await delivered(hearing, MESSAGES * subscribers);
  const busy = computed(redis) - from - idle * (performance.now() - began);
  const told = (await all(hearing, 'told')).flat();
  const ms = told.map(([id, at]) => at - sent.get(id)).sort((a, b) => a - b);
  return { ms, micros: (busy * 1_000) / MESSAGES, idleMs: idle * 1_000 };
}

const all = (children, name) => Promise.all(children.map((child) => child.ask({ name })));

async function delivered(hearing, expected) {
  for (const end = performance.now() + DELIVERED_WITHIN_MS; ; await delay(20)) {
    const counts = await all(hearing, 'count');
    const count = counts.reduce((sum, one) => sum + one, 0);
    if (count >= expected) return;
    if (performance.now() > end) throw new Error(`${count} of ${expected} messages arrived`);
  }
}

/** By the server until now, milliseconds. */
function computed(redis) {
  const found = redis.cli('INFO', 'cpu').matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm);
  return [...found].reduce((sum, [, seconds]) => sum + Number(seconds) * 1_000, 0);
}

const now = () => Number(process.hrtime.bigint()) / 1e6;

async function ours(watched) {
  const library = await import('../../dist/index.js');
  const { redisStore } = await import('../../dist/redis.js');
  const Users = library.entity('user', {
    // A copy in each process, which hears of changes.
    maxStaleness: { normal: '2s', incident: '1h' },
    read: library.readThrough({ ttl: '30m' }),
    write: library.invalidate(),
  });
  const store = watched(redisStore({ url: process.env.BENCH_REDIS_URL, deadline: '10s' }));
  const nest = await application(
    [],
    [
      library.CacheModule.forRoot({ namespace: 'bus', store }),
      library.CacheModule.forFeature([Users]),
    ],
  );
  return { cache: nest.get(library.EntityCache), Users };
}

/** `Promise.withResolvers`, which Node 20 does not have. */
function withResolvers() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
