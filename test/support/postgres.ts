import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';

/** A PostgreSQL database with nothing in it, for one test file. */
export interface TestPostgres {
  /** For every client that takes a connection string. */
  readonly url: string;
  /** Ends it with everything in it. Waits a while for clients to leave, then ends it under those who stay. */
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 60_000;
const LEFT_WITHIN_MS = 5_000;

/** Whether there is one to be had; asked before the tests are declared, so that they are shown as skipped. */
export function hasPostgres(): boolean {
  const has = process.env.DATABASE_URL !== undefined || binaries() !== undefined;
  if (!has && process.env.CI === 'true') {
    throw new Error('There is no PostgreSQL. Fix: install its server, or set DATABASE_URL.');
  }
  return has;
}

/**
 * A schema of its own in the database of `DATABASE_URL`; without that a server of its own, on a socket in a temporary
 * directory and on no port. `undefined` if neither is possible; an error if `CI` is `true`.
 *
 * `durable: true` waits for the disk, as a server in production does.
 */
export async function startPostgres({ durable = false } = {}): Promise<TestPostgres | undefined> {
  if (!hasPostgres()) return undefined;
  const given = process.env.DATABASE_URL;
  return given === undefined ? startServer(binaries()!, durable) : createSchema(given);
}

async function createSchema(database: string): Promise<TestPostgres> {
  const schema = `cache_test_${randomBytes(6).toString('hex')}`;
  await run(database, `CREATE SCHEMA ${schema}`);
  const url = new URL(database);
  url.searchParams.set('options', `-c search_path=${schema}`);
  const stop = async () => {
    await run(database, `DROP SCHEMA ${schema} CASCADE`);
  };
  return { url: url.href, stop };
}

async function startServer(bin: string, durable: boolean): Promise<TestPostgres> {
  const directory = mkdtempSync(join(tmpdir(), 'cache-postgres-'));
  const owner = unprivileged();
  if (owner !== undefined) chownSync(directory, owner.uid, owner.gid);
  const as = { cwd: directory, ...owner };
  const data = join(directory, 'data');
  try {
    const options = ['-D', data, '-U', 'test', '-A', 'trust', '-E', 'UTF8', '--no-locale', '-N'];
    execFileSync(join(bin, 'initdb'), options, { ...as, stdio: 'pipe' });
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  const options = ['-D', data, '-k', directory, '-c', 'listen_addresses='];
  if (!durable) options.push('-c', 'fsync=off', '-c', 'synchronous_commit=off');
  const server = serve(join(bin, 'postgres'), options, as);
  const url = `postgresql://test@localhost/postgres?host=${encodeURIComponent(directory)}`;
  try {
    await ready(url, server);
  } catch (error) {
    await server.stop();
    throw error;
  }
  const stop = async () => {
    // A server that does not answer is ended all the same.
    await left(url).catch(() => undefined);
    await server.stop();
  };
  return { url, stop };
}

/**
 * The server is the child of a shell that ends it and removes its directory when its own standard input ends: also if
 * the tests are killed and cannot ask for it.
 */
function serve(command: string, options: string[], as: { cwd: string }) {
  const script =
    '"$0" "$@" </dev/null & server=$!; read -r _; kill -INT $server; wait $server; rm -rf "$PWD"';
  const shell = spawn('/bin/sh', ['-c', script, command, ...options], {
    ...as,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let log = '';
  shell.stderr.on('data', (text) => (log += text));
  const ended = once(shell, 'close');
  return {
    log: () => log,
    stop: async () => {
      shell.stdin.end();
      await ended;
    },
  };
}

async function ready(url: string, server: { log(): string }): Promise<void> {
  for (const deadline = Date.now() + READY_WITHIN_MS; ; await setTimeout(20)) {
    try {
      await run(url, 'SELECT 1');
      return;
    } catch (error) {
      if (Date.now() > deadline) {
        throw new Error(`PostgreSQL did not start. It said:\n${server.log()}`, { cause: error });
      }
    }
  }
}

/** A pool calls itself ended while its connections still say goodbye; an error then would be nobody's. */
async function left(url: string): Promise<void> {
  const others = `SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;
  for (const deadline = Date.now() + LEFT_WITHIN_MS; Date.now() < deadline; await setTimeout(10)) {
    if ((await run(url, others)) === 0) return;
  }
}

/** How many rows it gave or changed. */
async function run(url: string, sql: string): Promise<number> {
  const client = new pg.Client(url);
  try {
    await client.connect();
    return (await client.query(sql)).rowCount ?? 0;
  } finally {
    await client.end();
  }
}

/** Where `initdb` and `postgres` are: on the PATH, where `pg_config` says, or where Debian keeps them. */
function binaries(): string | undefined {
  const places = (process.env.PATH ?? '').split(delimiter);
  try {
    places.push(
      execFileSync('pg_config', ['--bindir'], { encoding: 'utf8', stdio: 'pipe' }).trim(),
    );
  } catch {
    // Not installed: it belongs to the packages for developers.
  }
  places.push(...debian());
  return places.find((place) => executable(place, 'initdb') && executable(place, 'postgres'));
}

function debian(): string[] {
  const root = '/usr/lib/postgresql';
  try {
    const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(root, version, 'bin'));
  } catch {
    return [];
  }
}

function executable(place: string, name: string): boolean {
  try {
    accessSync(join(place, name), constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const user of ['postgres', 'nobody']) {
    try {
      const id = (of: string) =>
        Number(execFileSync('id', [of, user], { encoding: 'utf8', stdio: 'pipe' }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // No such user: the next one.
    }
  }
  throw new Error('The tests run as root, and there is no user postgres or nobody for PostgreSQL.');
}
