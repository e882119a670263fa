import { transformFile } from '@swc/core';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** lib/ as processes of their own can run it. */
export async function compileLib(): Promise<{ readonly directory: string; remove(): void }> {
  const directory = mkdtempSync(join(tmpdir(), 'cache-lib-'));
  await compile(['lib'], directory);
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/**
 * Folders of the repository as JavaScript, in folders of the same names in `directory`; what imports the package gets lib/
 * as it is now. A process of its own knows nothing of how tests are compiled, and a fresh clone has no build.
 */
export async function compile(folders: readonly string[], directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const exports = {
    '.': './lib/index.js',
    './redis': './lib/redis.js',
    './cache-manager': './lib/cache-manager.js',
  };
  const manifest = { name: 'nestjs-cache-contract', type: 'module', exports };
  writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'), 'dir');
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) =>
      join(folder, path),
    ),
  );
  await Promise.all(paths.map((path) => transpile(path, directory)));
}

async function transpile(path: string, directory: string): Promise<void> {
  const [from, to] = [join(root, path), join(directory, path)];
  mkdirSync(dirname(to), { recursive: true });
  if (path.endsWith('.lua')) cpSync(from, to);
  if (!path.endsWith('.ts')) return;
  const { code } = await transformFile(from, {
    swcrc: false,
    configFile: false,
    jsc: {
      target: 'es2022',
      keepClassNames: true,
      parser: { syntax: 'typescript', decorators: true },
      transform: {
        legacyDecorator: true,
        decoratorMetadata: true,
        useDefineForClassFields: true,
      },
    },
    module: { type: 'es6' },
  });
  writeFileSync(to.replace(/ts$/, 'js'), code);
}
