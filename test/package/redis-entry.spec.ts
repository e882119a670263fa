import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis } from '../support/redis-server.js';

const root = join(import.meta.dirname, '../..');
const MINUTES = 60_000;

describe('nestjs-cache-contract/redis, as packed', () => {
  let temporary: string;
  let installed: string;
  const run = (code: string) =>
    execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: temporary,
      encoding: 'utf8',
    }).trim();

  beforeAll(() => {
    temporary = mkdtempSync(join(tmpdir(), 'cache-packed-'));
    execFileSync('npm', ['run', 'build'], { cwd: root, stdio: 'pipe' });
    const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', temporary];
    const [{ filename }] = JSON.parse(execFileSync('npm', pack, { cwd: root, encoding: 'utf8' }));
    installed = join(temporary, 'node_modules/nestjs-cache-contract');
    mkdirSync(installed, { recursive: true });
    const strip = ['--strip-components=1', '-C', installed];
    execFileSync('tar', ['-xzf', join(temporary, filename), ...strip]);
  }, 3 * MINUTES);
  afterAll(() => rmSync(temporary, { recursive: true, force: true }));

  it('says what to install if ioredis is not', () => {
    const said = run(`
      const { RedisLock } = await import('nestjs-cache-contract/redis');
      try { new RedisLock({ url: 'redis://localhost:1', namespace: 'shop' }); } catch (error) { console.log(error.code, error.message); }
    `);
    expect(said).toBe(
      "CACHE_PACKAGE_MISSING RedisLock needs the package 'ioredis', which is not installed. Fix: npm install ioredis@6",
    );
  });

  it('is the only entry whose types mention ioredis', () => {
    const seen = new Set<string>();
    const visit = (file: string) => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(file, 'utf8');
      for (const [, from] of text.matchAll(/(?:from |import\()["'](\.[^"']+)\.js["']/g)) {
        visit(join(dirname(file), `${from}.d.ts`));
      }
    };
    const mention = () =>
      [...seen].some((file) => /["']ioredis["']/.test(readFileSync(file, 'utf8')));
    visit(join(installed, 'dist/index.d.ts'));
    expect([seen.size > 10, mention()]).toEqual([true, false]);
    visit(join(installed, 'dist/redis.d.ts'));
    expect(mention()).toBe(true);
  });

  it('has every script that lib/ has', () => {
    const scripts = (at: string) =>
      readdirSync(at, { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.lua'))
        .sort();
    expect(scripts(join(installed, 'dist'))).toEqual(scripts(join(root, 'lib')));
  });

  it('has what other languages send in one piece', () => {
    const script = readFileSync(join(installed, 'docs/invalidate.lua'), 'utf8');
    expect(script).toMatch(/^#!lua /);
    expect(script).not.toMatch(/^-- include/m);
  });

  (hasRedis() ? it : it.skip)('gives locks in Redis', async () => {
    const redis = (await startRedis())!;
    try {
      const ioredis = join(temporary, 'node_modules/ioredis');
      if (!existsSync(ioredis)) symlinkSync(join(root, 'node_modules/ioredis'), ioredis, 'dir');
      const said = run(`
        import { RedisLock } from 'nestjs-cache-contract/redis';
        const locks = new RedisLock({ url: '${redis.url}', namespace: 'shop' });
        console.log(await locks.run('report', ({ name, fence }) => name + ' ' + typeof fence));
        await locks.close();
      `);
      expect(said).toBe('report bigint');
    } finally {
      await redis.stop();
    }
  });
});
