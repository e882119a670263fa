import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileLib, transpile } from './compiled-lib.js';

/** The storefront as processes of their own can run it, over lib/ as it is now. */
export async function compileSample(): Promise<{ readonly directory: string; remove(): void }> {
  const lib = await compileLib();
  const { directory } = lib;
  await transpile('sample/src', directory);
  const exports = { '.': './lib/index.js', './redis': './lib/redis.js' };
  const manifest = { name: 'nestjs-cache-contract', type: 'module', exports };
  writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest));
  return { directory: join(directory, 'sample/src'), remove: () => lib.remove() };
}
