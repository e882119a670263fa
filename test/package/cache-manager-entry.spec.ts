import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const MINUTES = 60_000;

describe('nestjs-cache-contract/cache-manager, as packed', () => {
  let temporary: string;
  let installed: string;
  const run = (code: string) =>
    execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: temporary,
      encoding: 'utf8',
    }).trim();
  /** What an application has that uses it. */
  const install = (name: string) => {
    const at = join(temporary, 'node_modules', name);
    mkdirSync(dirname(at), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), at, 'dir');
  };

  beforeAll(() => {
    temporary = mkdtempSync(join(tmpdir(), 'cache-packed-'));
    execFileSync('npm', ['run', 'build'], { cwd: root, stdio: 'pipe' });
    const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', temporary];
    const [{ filename }] = JSON.parse(execFileSync('npm', pack, { cwd: root, encoding: 'utf8' }));
    installed = join(temporary, 'node_modules/nestjs-cache-contract');
    mkdirSync(installed, { recursive: true });
    const strip = ['--strip-components=1', '-C', installed];
    execFileSync('tar', ['-xzf', join(temporary, filename), ...strip]);
    for (const name of ['@nestjs', 'rxjs', 'reflect-metadata', 'typescript', '@types'])
      install(name);
  }, 3 * MINUTES);
  afterAll(() => rmSync(temporary, { recursive: true, force: true }));

  it('makes stores without a Keyv of its own: who has none needs none', () => {
    const said = run(`
      const { keyvStore } = await import('nestjs-cache-contract/cache-manager');
      const parts = { namespace: 'shop' };
      try { keyvStore({}).open(parts); } catch (error) { console.log(error.code); }
    `);
    expect(said).toBe('CACHE_ARGUMENT_INVALID');
  });

  it('mentions neither Keyv nor ioredis in what it declares or runs', () => {
    const files = readdirSync(join(installed, 'dist/store/keyv')).filter(
      (name) => !name.endsWith('.map'),
    );
    const foreign = files.filter((name) =>
      /(?:from |import\()["'](@?keyv|ioredis)/.test(
        readFileSync(join(installed, 'dist/store/keyv', name), 'utf8'),
      ),
    );
    expect([files.length > 10, foreign]).toEqual([true, []]);
  });

  it(
    'takes the Keyv of an ES module and of a CommonJS application, every type checked',
    () => {
      install('keyv');
      install('@keyv/serialize');
      const code = `
        import { Keyv } from 'keyv';
        import { keyvStore } from 'nestjs-cache-contract/cache-manager';
        console.log(keyvStore(new Keyv({ namespace: 'mine' }), { deadline: '50ms' }).leases);
      `;
      const compilerOptions = {
        module: 'nodenext',
        target: 'es2023',
        strict: true,
        exactOptionalPropertyTypes: true,
        types: ['node'],
        experimentalDecorators: true,
      };
      const said = (['module', 'commonjs'] as const).map((type) => {
        const app = join(temporary, type);
        mkdirSync(app);
        writeFileSync(join(app, 'package.json'), JSON.stringify({ private: true, type }));
        writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
        writeFileSync(join(app, 'app.ts'), code);
        const tsc = join(root, 'node_modules/typescript/bin/tsc');
        execFileSync(process.execPath, [tsc, '-p', app], { cwd: app, stdio: 'pipe' });
        return execFileSync(process.execPath, ['app.js'], { cwd: app, encoding: 'utf8' }).trim();
      });
      expect(said).toEqual(['lock', 'lock']);
    },
    3 * MINUTES,
  );
});
