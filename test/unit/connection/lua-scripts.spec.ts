import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LuaScript } from '../../../lib/connection/lua-script.js';

const root = join(import.meta.dirname, '..', '..', '..', 'lib');
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.lua'))
  .map((file) => join(root, file));
const scripts = files.filter((file) => !basename(file).startsWith('_'));

const matches = (text: string, pattern: RegExp) =>
  [...new Set([...text.matchAll(pattern)].map(([, found]) => found!))].sort();

/** What a script says of itself, and what it does: without comments, and without what it includes. */
function parts(file: string) {
  const [, shebang = '', header, body] = /^(#!.*\n)?((?:--.*\n)+)([^]*)$/.exec(
    readFileSync(file, 'utf8'),
  )!;
  return { shebang, header: header!, body: body!.replace(/--.*$/gm, ''), raw: body! };
}

/** `code: how many things come with it`, of what is returned after one of the words. */
function outcomes(returned: readonly string[]): string[] {
  const found = returned.flatMap((text) => {
    const elements = text.replace(/\([^()]*\)/g, '').split(',');
    const codes = /^(?:\w+ and )?(-?\d+)(?: or (-?\d+))?$/.exec(elements[0]!.trim());
    return (codes?.slice(1) ?? [])
      .filter((code) => code !== undefined)
      .map((code) => `${code}: ${elements.length - 1}`);
  });
  return [...new Set(found)].sort();
}

describe('a script', () => {
  it('is looked at here', () => expect(scripts.length).toBeGreaterThan(7));

  it.each(scripts.map((file) => [basename(file), file]))(
    'says in its header which keys and arguments it takes and what it returns: %s',
    (_name, file) => {
      const { header, body } = parts(file);
      for (const kind of ['KEYS', 'ARGV']) {
        const named = matches(header, RegExp(`^-- ${kind}\\[(\\d+)\\]  \\S`, 'gm'));
        expect(matches(body, RegExp(`${kind}\\[(\\d+)\\]`, 'g'))).toEqual(named);
        expect(named).toEqual(named.map((_, at) => `${at + 1}`));
      }
      const told = matches(header, /^--(?: Returns| {8}) (\{[^}]*\}|-?\d+) {2,}\S/gm);
      const returned = matches(body, /\breturn (\{[^{}]*\}|[^\n{]+?)(?= end\b|\n|$)/g);
      const bare = (texts: string[]) => texts.map((text) => text.replace(/^\{|\}$/g, ''));
      expect(outcomes(bare(returned))).toEqual(outcomes(bare(told)));
      expect(told.length).toBeGreaterThan(0);
    },
  );

  it.each(scripts.map((file) => [basename(file), file]))(
    'is run by Redis 7 as one that touches only the keys it names, or says why not: %s',
    (_name, file) => {
      const { shebang, header, body } = parts(file);
      const says = header.includes('-- Without `#!lua` on purpose: ')
        ? /^$/
        : /^#!lua( flags=\S+)?$/;
      expect(shebang.trim()).toMatch(says);
      expect(body).not.toMatch(/redis\.p?call\('[A-Z]+', ['"]/);
    },
  );

  it.each(scripts.map((file) => [basename(file), file]))(
    'includes what it calls, and nothing else: %s',
    (_name, file) => {
      const { body, raw } = parts(file);
      const included = matches(raw, /^-- include (\S+)$/gm);
      const fragments = files.filter((other) => dirname(other) === dirname(file));
      const at = (fragment: string) => join(dirname(file), `${fragment}.lua`);
      const codeIn = (fragment: string) =>
        readFileSync(at(fragment), 'utf8').replace(/--.*$/gm, '');
      for (const fragment of fragments.filter((other) => basename(other).startsWith('_'))) {
        const defined = matches(readFileSync(fragment, 'utf8'), /^local function (\w+)/gm);
        const callers = [body, ...included.filter((other) => fragment !== at(other)).map(codeIn)];
        const isCalled = defined.some((name) =>
          callers.some((code) => RegExp(`\\b${name}\\(`).test(code)),
        );
        expect([basename(fragment, '.lua'), isCalled]).toEqual([
          basename(fragment, '.lua'),
          included.includes(basename(fragment, '.lua')),
        ]);
      }
    },
  );

  it.each(scripts.map((file) => [basename(file, '.lua'), file]))(
    'begins with its flags and holds what it includes: %s',
    (name, file) => {
      const { text, sha } = new LuaScript(name, pathToFileURL(file).href);
      const { shebang } = parts(file);
      expect(text.startsWith(shebang)).toBe(true);
      expect(text).not.toMatch(/^-- include/m);
      expect(sha).toMatch(/^[0-9a-f]{40}$/);
    },
  );
});
