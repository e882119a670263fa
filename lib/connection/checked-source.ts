import { CacheUsageError } from '../errors/cache.error.js';
import { checkNames, listed } from '../errors/known-options.js';
import { closest, showNoText } from '../errors/wording.js';
import { checkClient } from './checked-client.js';
import { faultIn, partsOf } from './redis-url.js';

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
const NAMES: readonly string[] = [...KINDS, 'name', ...Object.keys(OF_SERVERS)];

type Given = Readonly<Record<string, unknown>>;

/**
 * Checks where Redis is, in the options of somebody who has `own` ones besides. No text of it is ever shown: there may
 * be a password in it.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID
 */
export function checkSource(options: unknown, owner: string, own: readonly string[]): void {
  // A function, or a class.
  const call = /^[a-z]/.test(owner) ? owner : `new ${owner}`;
  const write = (example: string) => `write ${call}(${example}).`;
  const given = optionsIn(options);
  const kind = kindOf(options, given, owner, own, write);
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
        'leave the path out: a cluster has one database.',
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
}

function optionsIn(options: unknown): Given {
  const isObject = typeof options === 'object' && options !== null && !Array.isArray(options);
  return isObject ? (options as Given) : {};
}

function kindOf(
  options: unknown,
  given: Given,
  owner: string,
  own: readonly string[],
  write: (example: string) => string,
): (typeof KINDS)[number] {
  const known = [...NAMES, ...own];
  const kinds = KINDS.filter((kind) => given[kind] !== undefined);
  const expected = `${owner} expected one of ${listed(KINDS)}`;
  const example = write("{ url: 'redis://localhost:6379' }");
  if (typeof given.duplicate === 'function') {
    throw refused(`${expected}, got a client alone`, write('{ client }'));
  }
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  // A misspelt one is told as such.
  if (kinds.length === 0 && !unknown.some((name) => closest(name, known) !== undefined)) {
    const empty = KINDS.find((kind) => kind in given);
    if (empty !== undefined) {
      const fix = `see where its value comes from, as a variable of the environment that is not set; or ${example}`;
      throw refused(`${expected}, got ${empty}: undefined`, fix);
    }
    const names = listed(Object.keys(given));
    const came = given === options ? `${names || 'none of them'}` : showNoText(options);
    throw refused(`${expected}, got ${came}`, example);
  }
  checkNames(given, known, owner);
  if (kinds.length === 1) return kinds[0]!;
  throw refused(`${expected}, got ${listed(kinds)}`, example);
}

function checkAddress(value: unknown, expected: string, fix: string): void {
  const fault =
    typeof value === 'string'
      ? faultIn(value)
      : ({ came: showNoText(value) } as { fix?: string; came: string });
  if (fault === undefined) return;
  throw refused(
    `${expected} that begins with redis:// or rediss://, got ${fault.came}`,
    fault.fix ?? fix,
  );
}

function checkAddresses(value: unknown, expected: string, fix: string, noPath: string): void {
  if (!Array.isArray(value) || value.length === 0) {
    const came = Array.isArray(value) ? 'none' : showNoText(value);
    throw refused(`${expected} urls, got ${came}`, fix);
  }
  const urls: readonly unknown[] = value;
  for (const url of urls) checkAddress(url, `${expected} urls, each`, fix);
  const parts = (urls as readonly string[]).map((url) => partsOf(url, 0));
  if (parts.some(({ db }) => db !== 0)) {
    throw refused(`${expected} urls, got one with the number of a database`, noPath);
  }
  const access = parts.map(({ tls, username, password }) =>
    JSON.stringify([tls, username, password]),
  );
  if (new Set(access).size === 1) return;
  throw refused(
    `${expected} urls with one user, one password and one protocol for all, got different ones`,
    fix,
  );
}

function checkSentinels(value: unknown, given: Given, owner: string, fix: string): void {
  const noPath = 'write it as database, beside sentinels: it is at the servers they watch over.';
  checkAddresses(value, `${owner} expected as sentinels some`, fix, noPath);
  const { name } = given;
  if (typeof name !== 'string' || name === '') {
    throw refused(
      `${owner} expected as name what the sentinels call the primary, got ${showNoText(name)}`,
      fix,
    );
  }
  for (const [part, [expected, isRight]] of Object.entries(OF_SERVERS)) {
    if (given[part] === undefined || isRight(given[part])) continue;
    throw refused(`${owner} expected as ${part} ${expected}, got ${showNoText(given[part])}`, fix);
  }
}

/** As of somebody who thinks of sentinels and forgot them. */
function checkNothingElse(given: Given, kind: string, owner: string): void {
  const part = ['name', ...Object.keys(OF_SERVERS)].find((name) => given[name] !== undefined);
  if (part === undefined) return;
  throw refused(
    `${owner} expected ${part} beside sentinels only, got it beside ${kind}`,
    `leave it out: what belongs to a ${kind === 'client' ? 'client is set there' : 'url stands in it'}.`,
  );
}

function refused(problem: string, fix: string): CacheUsageError {
  return new CacheUsageError('CACHE_ARGUMENT_INVALID', problem, fix);
}
