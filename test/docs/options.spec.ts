import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectation } from '../../lib/contract/check-options.js';
import type { Option, Options } from '../../lib/contract/option.js';
import {
  CONTRACT_OPTIONS,
  LOCAL_TIER_OPTIONS,
  MODULE_OPTIONS,
  ORIGIN_OPTIONS,
  READ_THROUGH_OPTIONS,
  STALE_WHILE_REVALIDATE_OPTIONS,
} from '../../lib/contract/options.js';
import { RETRY_OPTIONS, WRITE_BEHIND_OPTIONS } from '../../lib/contract/write-behind-options.js';

const page = join(import.meta.dirname, '..', '..', 'docs', 'options.md');

function standard(option: Option): string {
  if (option.required) return 'required';
  return option.standardText ?? 'none';
}

function table(title: string, intro: string, options: Options): string {
  const rows = Object.entries(options).map(
    ([name, option]) =>
      `| \`${name}\` | ${expectation(option)} | ${standard(option)} | ${option.meaning} |`,
  );
  return [
    `## ${title}`,
    intro,
    '| option | takes | default | meaning |\n| --- | --- | --- | --- |',
    rows.join('\n'),
  ]
    .join('\n\n')
    .replace(
      'default | meaning |\n| --- | --- | --- | --- |\n\n',
      'default | meaning |\n| --- | --- | --- | --- |\n',
    );
}

const text = `${[
  '# Options',
  'Written from the table that the boot check uses: what stands here is what is checked. `npm run docs` writes it anew.',
  "A duration is milliseconds as a number, or one number with one unit: `250`, `'250ms'`, `'30s'`, `'5m'`, `'1.5h'`, `'7d'`. Unknown options, malformed durations and values out of range are boot faults; all faults of an application come in one report.",
  table('Contract', "`entity('profile', { … })`", CONTRACT_OPTIONS),
  table('readThrough', '`read: readThrough({ … })`', READ_THROUGH_OPTIONS),
  table(
    'staleWhileRevalidate',
    '`read: staleWhileRevalidate({ … })`',
    STALE_WHILE_REVALIDATE_OPTIONS,
  ),
  '`bypass()`, `invalidate()`, `writeThrough()` and `external()` take no options.',
  table('writeBehind', '`write: writeBehind({ … })`', WRITE_BEHIND_OPTIONS),
  table('Retry', '`write: writeBehind({ retry: { … } })`', RETRY_OPTIONS),
  table('Local tier', '`read: readThrough({ l1: { … } })`', LOCAL_TIER_OPTIONS),
  table('Origin', "`origin('database', { … })`", ORIGIN_OPTIONS),
  table('Module', '`CacheModule.forRoot({ … })`', MODULE_OPTIONS),
].join('\n\n')}\n`;

it('docs/options.md says what the option table says', () => {
  if (process.env.UPDATE_DOCS === '1' || !existsSync(page)) writeFileSync(page, text);
  expect(readFileSync(page, 'utf8')).toBe(text);
});
