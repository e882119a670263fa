import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from './compiled-lib.js';

/** The storefront as processes of their own can run it, over lib/ as it is now. */
export async function compileSample(): Promise<{ readonly directory: string; remove(): void }> {
  const directory = mkdtempSync(join(tmpdir(), 'cache-sample-'));
  await compile(['lib', 'sample/src'], directory);
  const remove = () => rmSync(directory, { recursive: true, force: true });
  return { directory: join(directory, 'sample/src'), remove };
}
