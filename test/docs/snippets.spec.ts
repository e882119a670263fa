import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const pages = [
  'README.md',
  'ARCHITECTURE.md',
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
];
/** A region of a file, or all of it. */
const SNIPPET = /(<!-- snippet: ([^#\s]+)(?:#([\w-]+))? -->\n\n```ts\n)[\s\S]*?(```\n)/g;

function region(file: string, name: string | undefined): string {
  const text = readFileSync(join(root, file), 'utf8');
  if (name === undefined) return text;
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.trim() === `// #region ${name}`);
  const end = lines.findIndex((line, i) => i > start && line.trim() === '// #endregion');
  if (start < 0 || end < 0) throw new Error(`${file} has no region ${name}`);
  const kept = lines.slice(start + 1, end);
  const indent = Math.min(
    ...kept.filter(Boolean).map((line) => line.length - line.trimStart().length),
  );
  return kept.map((line) => line.slice(indent)).join('\n') + '\n';
}

/** `npm run docs` copies the code into the pages; without it, a difference is a failure. */
describe.each(pages)('%s', (page) => {
  it('shows code as it stands in files that are compiled and run', () => {
    const text = readFileSync(join(root, page), 'utf8');
    const wanted = text.replace(
      SNIPPET,
      (_, head: string, file: string, name: string | undefined, tail: string) =>
        head + region(file, name) + tail,
    );
    if (process.env.UPDATE_DOCS === '1') writeFileSync(join(root, page), wanted);
    else expect(text).toBe(wanted);
    const blocks = text.match(/^```ts$/gm)?.length ?? 0;
    expect(text.match(SNIPPET)?.length ?? 0).toBe(blocks);
  });

  it('links to what exists', () => {
    const text = readFileSync(join(root, page), 'utf8');
    const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, target]) => target!);
    for (const target of targets) {
      expect(() => readFileSync(join(root, page, '..', target))).not.toThrow(/ENOENT/);
    }
  });
});
