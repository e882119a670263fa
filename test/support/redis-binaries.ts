import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Where `redis-server` and `redis-cli` are, and what they need to run. */
export interface RedisBinaries {
  readonly server: string;
  readonly cli: string;
  readonly env: NodeJS.ProcessEnv;
}

let found: RedisBinaries | undefined | 'not looked for' = 'not looked for';

/**
 * Whether there is a Redis to be had; asked before the tests are declared, so that they are shown as skipped.
 *
 * The server of the PATH; else one that is fetched once from the packages of the distribution, without installing it.
 */
export function hasRedis(): boolean {
  const has = redisBinaries() !== undefined;
  if (!has && process.env.CI === 'true') {
    throw new Error(
      'There is no Redis. Fix: install its server (Debian: apt-get install redis-server).',
    );
  }
  return has;
}

export function redisBinaries(): RedisBinaries | undefined {
  if (found === 'not looked for') found = onPath() ?? kept() ?? fetched();
  return found;
}

function onPath(): RedisBinaries | undefined {
  const places = (process.env.PATH ?? '').split(delimiter);
  const place = places.find(
    (at) => existsSync(join(at, 'redis-server')) && existsSync(join(at, 'redis-cli')),
  );
  return place === undefined
    ? undefined
    : { server: join(place, 'redis-server'), cli: join(place, 'redis-cli'), env: process.env };
}

/** Outside the repository, so that every clone of it uses the same. */
function keptAt(): string {
  return join(
    process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
    'nestjs-cache-contract',
    'redis',
  );
}

function kept(): RedisBinaries | undefined {
  const root = keptAt();
  const bin = join(root, 'usr/bin');
  if (!existsSync(join(bin, 'redis-server'))) return undefined;
  const libraries = ['usr/lib', 'lib'].flatMap((folder) => {
    const at = join(root, folder);
    return existsSync(at) ? [at, ...readdirSync(at).map((name) => join(at, name))] : [];
  });
  const binaries = {
    server: join(bin, 'redis-server'),
    cli: join(bin, 'redis-cli'),
    env: { ...process.env, LD_LIBRARY_PATH: libraries.join(delimiter) },
  };
  try {
    execFileSync(binaries.server, ['--version'], { env: binaries.env, stdio: 'pipe' });
    return binaries;
  } catch {
    // Of another distribution than this one: fetched again.
    return undefined;
  }
}

/** Unpacks the packages of a Debian or Ubuntu, which needs neither root nor an installation. */
function fetched(): RedisBinaries | undefined {
  const parent = join(keptAt(), '..');
  let work: string | undefined;
  try {
    mkdirSync(parent, { recursive: true });
    work = mkdtempSync(join(parent, 'fetch-'));
    const text = (command: string, ...args: string[]) =>
      execFileSync(command, args, { cwd: work, encoding: 'utf8', stdio: 'pipe' });
    const needs = text('apt-cache', 'depends', 'redis-tools').matchAll(/Depends: (lib(?!c6)\S+)/g);
    text(
      'apt-get',
      'download',
      'redis-server',
      'redis-tools',
      ...[...needs].map(([, name]) => name!),
    );
    for (const name of readdirSync(work)) text('dpkg-deb', '-x', name, 'all');
    rmSync(keptAt(), { recursive: true, force: true });
    renameSync(join(work, 'all'), keptAt());
  } catch {
    // No such tools, or no network.
  } finally {
    if (work !== undefined) rmSync(work, { recursive: true, force: true });
  }
  return kept();
}
