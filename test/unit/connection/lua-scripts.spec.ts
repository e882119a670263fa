import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const lib = join(import.meta.dirname, '../../../lib');
const scripts = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.lua'),
);

/** What a pattern finds, each once, in order. */
const all = (text: string, pattern: RegExp) =>
  [...new Set([...text.matchAll(pattern)].map(([, found]) => found!))].sort();

it('there are scripts', () => expect(scripts.length).toBeGreaterThan(0));

describe.each(scripts)('%s', (path) => {
  const lines = readFileSync(join(lib, path), 'utf8').split('\n');
  const end = lines.findIndex((line, at) => at > 0 && !line.startsWith('--'));
  const [header, body] = [lines.slice(1, end).join('\n'), lines.slice(end).join('\n')];

  it('is run by Redis 7 as a script that touches only the keys it names', () => {
    expect(lines[0]).toMatch(/^#!lua( flags=[a-z-,]+)?$/);
    expect(body).not.toMatch(/redis\.call\('[A-Z]+', '/);
  });

  it.each(['KEYS', 'ARGV'])('says of all its %s what they are, and of no others', (kind) => {
    const named = all(header, new RegExp(`^-- (${kind}\\[\\d\\])  \\S`, 'gm'));
    expect(named).toEqual(all(body, new RegExp(`(${kind}\\[\\d\\])`, 'g')));
    expect(named).toEqual(named.map((_, at) => `${kind}[${at + 1}]`));
  });

  it('says of every code it returns what it means, and of no others', () => {
    const told = header.slice(header.indexOf('-- Returns '));
    const codes = all(told, /^-- (?:Returns| {7}) \{?(-?\d+)\b/gm);
    const returned = [...body.matchAll(/return (.+?)(?: end)?$/gm)].flatMap(([, what]) =>
      all(what!.replace(/, .*\}/, '}'), /(-?\d+)/g),
    );
    expect(codes.length).toBeGreaterThan(0);
    expect([...new Set(returned)].sort()).toEqual(codes);
  });
});
