import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { until } from './fault-child.js';

/** What can happen to a PostgreSQL server that `startPostgres()` has started here. */
export interface Server {
  /** It and the connections of `name` stand still, and nobody is told. Resolves to what lets them go on. */
  freeze(name: string): Promise<() => void>;
  /** It is gone without having written down where it was, as after a crash. */
  crash(): Promise<void>;
  /** It recovers, and is there again. */
  restart(): Promise<void>;
  /** Ends it if it was restarted. */
  stop(): Promise<void>;
}

export function serverOf(url: string): Server {
  const data = join(new URL(url).searchParams.get('host')!, 'data');
  const lock = join(data, 'postmaster.pid');
  const main = () => Number(readFileSync(lock, 'utf8').split('\n')[0]);
  let stop = async () => {};
  return {
    freeze: async (name) => {
      const ofName = 'SELECT pid FROM pg_stat_activity WHERE application_name = $1';
      const rows = (await ask(url, ofName, [name])) as { pid: number }[];
      const pids = [main(), ...rows.map(({ pid }) => pid)];
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      return () => {
        for (const pid of pids.splice(0)) process.kill(pid, 'SIGCONT');
      };
    },
    crash: async () => {
      process.kill(main(), 'SIGQUIT');
      await until('the server is gone', () => !existsSync(lock));
    },
    restart: async () => {
      const { uid, gid } = statSync(data);
      // It ends when its standard input does: also if the tests are killed.
      const command = readFileSync(join(data, 'postmaster.opts'), 'utf8').trim();
      const script = `${command} </dev/null & server=$!; read -r _; kill -INT $server; wait $server`;
      const shell = spawn('/bin/sh', ['-c', script], {
        cwd: data,
        stdio: ['pipe', 'ignore', 'ignore'],
        ...(process.getuid?.() === 0 && { uid, gid }),
      });
      const ended = once(shell, 'close');
      stop = async () => {
        shell.stdin.end();
        await ended;
      };
      await until('the server answers', () => ask(url, 'SELECT 1').catch(() => undefined));
    },
    stop: () => stop(),
  };
}

async function ask(url: string, sql: string, values: string[] = []): Promise<object[]> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query(sql, values)).rows as object[];
  } finally {
    await client.end();
  }
}
