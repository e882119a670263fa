import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const MINUTES = 60_000;

interface Manifest {
  name: string;
  version: string;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
  devDependencies: Record<string, string>;
}
let manifest: Manifest;
let temporary: string;
let tarball: string;
let packed: string[];

/** Resolves to what the command prints; a command that takes too long is stopped. */
function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, timeout: 3 * MINUTES }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${error.message}\n${stdout}\n${stderr}`));
    });
  });
}

async function json<T>(...path: string[]): Promise<T> {
  return JSON.parse(await readFile(join(...path), 'utf8')) as T;
}

beforeAll(async () => {
  manifest = await json<Manifest>(root, 'package.json');
  temporary = await mkdtemp(join(tmpdir(), 'consumers-'));
  await run(root, 'npm', 'run', 'build');
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', temporary];
  const [{ filename, files }] = JSON.parse(await run(root, 'npm', ...pack));
  tarball = join(temporary, filename);
  packed = files.map(({ path }: { path: string }) => path);
  await run(temporary, 'tar', '-xzf', tarball);
}, 3 * MINUTES);

afterAll(() => rm(temporary, { recursive: true, force: true }));

it('packs what was built, and what npm shows of it', () => {
  const others = packed.filter((path) => !/^dist\/.+(\.js|\.js\.map|\.d\.ts|\.lua)$/.test(path));
  const pages = ['README', 'ARCHITECTURE', 'CHANGELOG', 'CONTRIBUTING'].map((name) => `${name}.md`);
  const inFolders = /^(docs|sample)\//;
  expect(others.filter((path) => !inFolders.test(path)).sort()).toEqual(
    ['LICENSE', 'package.json', ...pages].sort(),
  );
  const types = packed.filter((path) => path.endsWith('.d.ts'));
  const code = packed.filter((path) => path.endsWith('.js'));
  const typed = types.map((path) => path.replace(/\.d\.ts$/, '.js'));
  expect(typed.sort()).toEqual(code.sort());
  expect(code).toContain('dist/index.js');
  expect(packed.filter((path) => /\.spec\.|(^|\/)test\//.test(path))).toEqual([]);
});

describe.each([
  { format: 'esm', nest: '11' },
  { format: 'esm', nest: '12' },
  { format: 'cjs', nest: '11' },
  { format: 'cjs', nest: '12' },
])('$format application on Nest $nest', ({ format, nest }) => {
  let app: string;
  const installed = (...path: string[]) => join(app, 'node_modules', ...path);

  beforeAll(async () => {
    app = join(temporary, `${format}-${nest}`);
    await mkdir(app);
    await copyFile(join(import.meta.dirname, 'app.ts'), join(app, 'app.ts'));
    const { peerDependencies, peerDependenciesMeta, devDependencies } = manifest;
    // Whoever does not use what they are for does not have them.
    const needed = Object.entries(peerDependencies).filter(
      ([name]) => peerDependenciesMeta[name]?.optional !== true,
    );
    const own = {
      private: true,
      ...(format === 'esm' && { type: 'module' }),
      dependencies: {
        ...Object.fromEntries(needed),
        '@nestjs/common': `^${nest}.0.0`,
        '@nestjs/core': `^${nest}.0.0`,
        [manifest.name]: `file:${tarball}`,
      },
      devDependencies: {
        '@types/node': devDependencies['@types/node'],
        typescript: devDependencies.typescript,
      },
    };
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2023',
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      types: ['node'],
    };
    await writeFile(join(app, 'package.json'), JSON.stringify(own));
    await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    await run(app, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline');
  }, 4 * MINUTES);

  it('gets one Nest of its own, and the package as it was packed', async () => {
    const core = await json<Manifest>(installed('@nestjs/core/package.json'));
    expect(core.version.split('.')[0]).toBe(nest);
    const packageFiles = await readdir(installed(manifest.name), { recursive: true });
    expect(packageFiles).toEqual(expect.arrayContaining(packed));
    expect(packageFiles).not.toContain('node_modules');
  });

  it(
    'is compiled with every type checked, started, and answered',
    async () => {
      await run(app, process.execPath, installed('typescript/bin/tsc'), '-p', app);
      const printed = await run(app, process.execPath, 'app.js');
      expect(JSON.parse(printed)).toEqual({
        format,
        answers: 100,
        names: ['Ada'],
        loads: 1,
        wrapped: 'x',
        afterWrite: 'Grace',
      });
    },
    3 * MINUTES,
  );
});

it('mentions in its types only what a user has: Node.js and the peer dependencies', async () => {
  const has = Object.keys(manifest.peerDependencies);
  const more: string[] = [];
  for (const path of packed.filter((name) => name.endsWith('.d.ts'))) {
    const text = await readFile(join(temporary, 'package', path), 'utf8');
    for (const [, from] of text.matchAll(
      /(?:from |import |import\(|types=)["']([^."'][^"']*)["']/g,
    )) {
      const name = /^(@[^/]+\/)?[^/]+/.exec(from!)![0];
      if (!isBuiltin(from!) && !has.includes(name)) more.push(`${path}: ${name}`);
    }
  }
  expect(more).toEqual([]);
});
