import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

export interface SomeRedis {
  readonly url: string;
  end(): Promise<void>;
}

/** That of `REDIS_URL`, or one of our own from the `PATH`, which keeps nothing; nothing where there is neither. */
export async function someRedis(): Promise<SomeRedis | undefined> {
  const url = process.env.REDIS_URL;
  if (url) return { url, end: () => Promise.resolve() };
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const port = await freePort();
  const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  // A shell ends it when its own input ends: also if this process is killed and cannot ask for it.
  const script = 'redis-server "$@" </dev/null & read -r end; kill $!; wait $!';
  const server = spawn('/bin/sh', ['-c', script, 'sh', ...settings], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(server, 'exit');
  for await (const said of server.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    if (String(said).includes('Ready to accept connections')) break;
  }
  server.stdout.resume();
  if (server.exitCode !== null) throw new Error('redis-server has ended');
  const end = async () => {
    server.stdin.end();
    await ended;
  };
  return { url: `redis://127.0.0.1:${port}`, end };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
