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

/** lib/ as processes of their own can run it: they know nothing of how tests are compiled, and a fresh clone has no build. */
export async function compileLib(): Promise<{ readonly directory: string; remove(): void }> {
  const directory = mkdtempSync(join(tmpdir(), 'cache-lib-'));
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'), 'dir');
  await transpile('lib', directory);
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** A folder of the repository as JavaScript, in a folder of the same name in `directory`. */
export async function transpile(folder: string, directory: string): Promise<void> {
  const paths = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  for (const path of paths) {
    const [from, to] = [join(root, folder, path), join(directory, folder, path)];
    mkdirSync(dirname(to), { recursive: true });
    if (path.endsWith('.lua')) cpSync(from, to);
    if (!path.endsWith('.ts')) continue;
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
}
