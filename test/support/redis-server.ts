import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { hasRedis, redisBinaries } from './redis-binaries.js';

/** A Redis of its own for one test file, on a free port. */
export interface TestRedis {
  readonly port: number;
  readonly url: string;
  /** Sends one command and waits for the answer, while this process does nothing else. */
  cli(...command: string[]): string;
  /** It stays connected and says nothing, until `thaw`. */
  freeze(): void;
  thaw(): void;
  /** Ends it without a word, as a crash does. */
  kill(): Promise<void>;
  /** Whether it runs, and is not frozen. */
  isUp(): boolean;
  /** Starts it again on the same port, with what it has written to its disk. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 60_000;
/** The free port may be taken by somebody else before the server has it. */
const STARTS = 5;

/** What nodes of a cluster add to their port for what they tell each other. */
const BUS = 10_000;
const LAST_PORT = 65_535;

/** `undefined` where there is no Redis; an error if `CI` is `true`. Keeps nothing on its disk unless `durable`. */
export async function startRedis({
  durable = false,
  options = [] as readonly string[],
} = {}): Promise<TestRedis | undefined> {
  if (!hasRedis()) return undefined;
  return start(['--appendonly', durable ? 'yes' : 'no', '--appendfsync', 'always', ...options]);
}

/** Of a cluster, of which it knows nothing yet. */
export function startNode(options: readonly string[]): Promise<TestRedis> {
  return start(['--cluster-enabled', 'yes', ...options]);
}

/** `configuration`: what it begins with and keeps up by itself. */
export function startSentinel(configuration: string): Promise<TestRedis> {
  return start(['--sentinel'], configuration);
}

async function start(settings: readonly string[], configuration = ''): Promise<TestRedis> {
  const directory = mkdtempSync(join(tmpdir(), 'cache-redis-'));
  writeFileSync(join(directory, 'redis.conf'), configuration);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(settings.includes('--cluster-enabled'));
    try {
      return await startOn(port, directory, settings);
    } catch (error) {
      if (attempt === STARTS) throw error;
    }
  }
}

async function startOn(
  port: number,
  directory: string,
  settings: readonly string[],
): Promise<TestRedis> {
  let server = await serve(port, directory, settings);
  let up = true;
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    cli: (...command) => ask(port, ...command),
    isUp: () => up,
    freeze: () => {
      up = false;
      process.kill(server.pid, 'SIGSTOP');
    },
    thaw: () => {
      process.kill(server.pid, 'SIGCONT');
      up = true;
    },
    kill: () => {
      up = false;
      return server.end('keep its directory');
    },
    restart: async () => {
      await server.end('keep its directory');
      server = await serve(port, directory, settings);
      up = true;
    },
    stop: async () => {
      await server.end();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface Server {
  readonly pid: number;
  end(keep?: string): Promise<void>;
}

/**
 * The server is the child of a shell that ends it and removes its directory when its own standard input ends: also if
 * the tests are killed and cannot ask for it.
 */
async function serve(
  port: number,
  directory: string,
  settings: readonly string[],
): Promise<Server> {
  const { server, env } = redisBinaries()!;
  const script =
    '"$0" "$@" </dev/null >&2 & server=$!; echo $server; read -r keep; kill -KILL $server; wait $server; ' +
    '[ -n "$keep" ] || rm -rf "$PWD"';
  const ownSettings = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', ''];
  const options = ['redis.conf', ...ownSettings, ...settings];
  const shell = spawn('/bin/sh', ['-c', script, server, ...options], {
    cwd: directory,
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let log = '';
  shell.stderr.on('data', (text) => (log += text));
  const ended = once(shell, 'close');
  const end = async (keep = '') => {
    // It has ended before if this is the second time.
    if (shell.stdin.writable) shell.stdin.end(`${keep}\n`);
    await ended;
  };
  try {
    const [pid] = (await once(shell.stdout, 'data')) as [Buffer];
    await ready(port, () => log);
    return { pid: Number(pid), end };
  } catch (error) {
    await end();
    throw error;
  }
}

async function ready(port: number, log: () => string): Promise<void> {
  for (const deadline = Date.now() + READY_WITHIN_MS; ; await setTimeout(10)) {
    try {
      answers(port);
      // Somebody else may answer on that port.
      if (/Ready to accept connections|Sentinel ID is/.test(log())) return;
    } catch (error) {
      if (Date.now() > deadline)
        throw new Error(`Redis did not start. It said:\n${log()}`, { cause: error });
    }
    if (log().includes('Failed listening'))
      throw new Error(`Redis did not start. It said:\n${log()}`);
  }
}

function answers(port: number): void {
  try {
    ask(port, 'ping');
  } catch (error) {
    // It wants a password first.
    if (!String((error as { stderr?: unknown }).stderr).includes('NOAUTH')) throw error;
  }
}

function ask(port: number, ...command: string[]): string {
  const { cli, env } = redisBinaries()!;
  const args = ['-e', '-p', `${port}`, ...command];
  return execFileSync(cli, args, { env, encoding: 'utf8', stdio: 'pipe', timeout: 30_000 }).trim();
}

/** `withBus`: the one that a node of a cluster needs besides is free as well. */
async function freePort(withBus = false): Promise<number> {
  for (;;) {
    const port = await listen(0);
    if (!withBus) return port!;
    if (port! + BUS <= LAST_PORT && (await listen(port! + BUS)) !== undefined) return port!;
  }
}

/** Where it could, for a moment. */
async function listen(at: number): Promise<number | undefined> {
  const probe = createServer();
  try {
    probe.listen(at, '127.0.0.1');
    await once(probe, 'listening');
  } catch {
    return undefined;
  }
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
