import type { Cluster, Redis } from 'ioredis';
import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';
import type { RedisSource } from './redis-source.js';

const ADDRESS = /^rediss?:\/\/./;
const KINDS = ['url', 'nodes', 'sentinels', 'client'] as const;
/** What is said of the servers that sentinels watch over, and how it has to be. */
const OF_SERVERS = {
  username: ['a text', (value: unknown) => typeof value === 'string' && value !== ''],
  password: ['a text', (value: unknown) => typeof value === 'string' && value !== ''],
  database: [
    'a whole number from 0',
    (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0,
  ],
  tls: ['true or false', (value: unknown) => typeof value === 'boolean'],
} as const;

/**
 * What was given, if it can be meant. No text of it is ever shown: there may be a password in it.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID
 */
export function checkedSource(source: unknown, owner: string): RedisSource {
  // A function, or a class.
  const call = /^[a-z]/.test(owner) ? owner : `new ${owner}`;
  const write = (example: string) => `write ${call}(${example}).`;
  const given: Record<string, unknown> =
    typeof source === 'object' && source !== null ? { ...source } : {};
  const kinds = KINDS.filter((kind) => given[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    const none = typeof source === 'object' ? 'none of them' : shown(source);
    throw refused(
      `${owner} expected one of url, nodes, sentinels and client, got ${kinds.join(' and ') || none}`,
      write("{ url: 'redis://localhost:6379' }"),
    );
  }
  const value = given[kind];
  switch (kind) {
    case 'url':
      checkAddress(value, `${owner} expected a url`, write("{ url: 'redis://localhost:6379' }"));
      break;
    case 'nodes':
      checkAddresses(
        value,
        `${owner} expected as nodes some`,
        write("{ nodes: ['redis://node-1:6379', 'redis://node-2:6379'] }"),
      );
      break;
    case 'sentinels':
      checkSentinels(
        value,
        given,
        owner,
        write("{ sentinels: ['redis://sentinel-1:26379'], name: 'mymaster' }"),
      );
      break;
    case 'client':
      checkClient(
        value,
        owner,
        `write ${call}({ client: new Redis('redis://localhost:6379') }), or give the url.`,
      );
  }
  if (kind !== 'sentinels') checkNothingElse(given, kind, owner);
  return source as RedisSource;
}

function checkAddress(value: unknown, expected: string, fix: string): void {
  if (typeof value === 'string' && ADDRESS.test(value)) return;
  const came = typeof value === 'string' ? 'a text that begins otherwise' : show(value);
  throw refused(`${expected} that begins with redis:// or rediss://, got ${came}`, fix);
}

function checkAddresses(value: unknown, expected: string, fix: string): void {
  if (!Array.isArray(value) || value.length === 0) {
    const came = Array.isArray(value) ? 'none' : shown(value);
    throw refused(`${expected} urls, got ${came}`, fix);
  }
  const urls: readonly unknown[] = value;
  for (const url of urls) checkAddress(url, `${expected} urls, each`, fix);
  const parts = (urls as readonly string[]).map((url) => {
    try {
      return new URL(url);
    } catch {
      throw refused(`${expected} urls, got one that is none`, fix);
    }
  });
  const access = parts.map(({ protocol, username, password }) =>
    [protocol, username, password].join(' '),
  );
  if (new Set(access).size === 1) return;
  throw refused(
    `${expected} urls with one user, one password and one protocol for all, got different ones`,
    fix,
  );
}

function checkSentinels(
  value: unknown,
  given: Record<string, unknown>,
  owner: string,
  fix: string,
): void {
  checkAddresses(value, `${owner} expected as sentinels`, fix);
  const { name } = given;
  if (typeof name !== 'string' || name === '') {
    throw refused(
      `${owner} expected as name what the sentinels call the primary, got ${shown(name)}`,
      fix,
    );
  }
  for (const [part, [expected, isRight]] of Object.entries(OF_SERVERS)) {
    if (given[part] === undefined || isRight(given[part])) continue;
    throw refused(`${owner} expected as ${part} ${expected}, got ${shown(given[part])}`, fix);
  }
}

function checkClient(client: unknown, owner: string, fix: string): void {
  const { duplicate } = (client ?? {}) as Partial<Redis>;
  if (typeof duplicate !== 'function') {
    throw refused(
      `${owner} expected as client a Redis or a Cluster of ioredis, got ${shown(client)}`,
      fix,
    );
  }
  if (isCluster(client) && client.options.useSRVRecords === true) {
    throw refused(
      `${owner} expected as client a Cluster that knows addresses, got one that looks for SRV records`,
      'resolve them, and give the addresses as nodes.',
    );
  }
}

/** As of somebody who thinks of sentinels and forgot them. */
function checkNothingElse(given: Record<string, unknown>, kind: string, owner: string): void {
  const part = ['name', ...Object.keys(OF_SERVERS)].find((name) => given[name] !== undefined);
  if (part === undefined) return;
  throw refused(
    `${owner} expected ${part} beside sentinels only, got it beside ${kind}`,
    `leave it out: what belongs to a ${kind === 'client' ? 'client is set there' : 'url stands in it'}.`,
  );
}

/** What came, unless it is a text. */
function shown(value: unknown): string {
  return typeof value === 'string' ? 'a text' : show(value);
}

export function isCluster(value: unknown): value is Cluster {
  return (value as Partial<Redis> | null)?.isCluster ?? false;
}

function refused(problem: string, fix: string): CacheUsageError {
  return new CacheUsageError('CACHE_ARGUMENT_INVALID', problem, fix);
}
