import 'reflect-metadata';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Module, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheModule } from 'nestjs-cache-contract';
import { format, resolveConfig } from 'prettier';
import ts from 'typescript';
import { expectation } from '../../lib/contract/check-options.js';
import { CACHE_MANAGER_OPTIONS } from '../../lib/extras/cache-manager/options.js';
import { CASES } from '../conformance/cache-manager.js';
import { AppModule as After } from './snippets/cache-manager-after.js';
import { AppModule as Before } from './snippets/cache-manager-before.js';
import { ProfileService as Next } from './snippets/cache-manager-next.js';
import { ProfileService } from './snippets/cache-manager-service.js';

const root = join(import.meta.dirname, '../..');
const page = join(root, 'docs/from-nestjs-cache-manager.md');

/** What to write instead of each export of @nestjs/cache-manager 12. */
const INSTEAD: { readonly [name: string]: string } = {
  CacheModule:
    '`CacheManagerModule`, with `CacheModule.forRoot()` of nestjs-cache-contract once in the root module',
  CACHE_MANAGER: '`CACHE_MANAGER`, of the same value',
  Cache: '`Cache`, a class token with the same calls',
  CacheInterceptor: 'nothing: `@Cached` on the method that asks the source, see below',
  CacheKey: 'the key function of `@Cached(entity, key)`',
  CacheKeyFactory: 'the same',
  CacheTTL: '`read: readThrough({ ttl })` in the contract',
  CacheTTLFactory:
    '`currentLoad().ttl()` in the method, for a value that is fresh for less than the contract says',
  CACHE_KEY_METADATA: 'nothing: keys are not metadata of handlers',
  CACHE_TTL_METADATA: 'nothing, likewise',
  CACHE_MODULE_OPTIONS: 'nothing: `EntityCache.contract(entity)` says what is in force',
  CacheModuleOptions: '`CacheManagerModuleOptions`',
  CacheModuleAsyncOptions: '`CacheManagerModuleAsyncOptions`',
  CacheOptions: '`CacheManagerOptions`',
  CacheManagerOptions: '`CacheManagerOptions`; where entries are kept says the contract',
  CacheOptionsFactory: '`CacheManagerOptionsFactory`',
};

/** Everything the package exports, types included. */
function exported(): string[] {
  const file = join(root, 'node_modules/@nestjs/cache-manager/dist/index.d.ts');
  const program = ts.createProgram([file], { module: ts.ModuleKind.NodeNext, types: [] });
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!;
  return checker.getExportsOfModule(module).map(({ name }) => name);
}

function table(heading: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(heading), line(heading.map(() => '---')), ...rows.map(line)].join('\n');
}

const exportsTable = () =>
  table(
    ['@nestjs/cache-manager', 'write instead'],
    Object.entries(INSTEAD).map(([name, instead]) => [`\`${name}\``, instead]),
  );

function differencesTable(): string {
  const differences = Object.values(CASES)
    .flat()
    .flatMap(({ differs }) => differs ?? []);
  const lines = new Map(differences.map((difference) => [difference.what, difference]));
  const rows = [...lines.values()].map(({ what, theirs, ours, why }) => [what, theirs, ours, why]);
  return table(['what', 'cache-manager', 'here', 'because'], rows);
}

const optionsTable = () =>
  table(
    ['option of `register`', 'takes', 'default', 'meaning'],
    [
      ['`entity`', "`entity('legacy', { … })`", 'required', 'In which the keys live.'],
      ['`isGlobal`', '`true` or `false`', '`false`', 'Whether other modules need not import it.'],
      ...Object.entries(CACHE_MANAGER_OPTIONS).map(([name, option]) => [
        `\`${name}\``,
        expectation(option),
        option.standardText,
        option.meaning,
      ]),
    ],
  );

it('has the tables that the cases, the options and the exports make', async () => {
  const options = { ...(await resolveConfig(page)), parser: 'markdown' };
  const made = {
    options: optionsTable(),
    exports: exportsTable(),
    differences: differencesTable(),
  };
  const tables = Object.entries(made).map(async ([name, text]) => [
    name,
    await format(text, options),
  ]);
  const formatted = (await Promise.all(tables)) as [string, string][];
  const text = readFileSync(page, 'utf8');
  const wanted = formatted.reduce((before, [name, table]) => {
    const place = new RegExp(`(<!-- table: ${name} -->\n\n)(?:\\|.*\n)*`);
    expect(before).toMatch(place);
    return before.replace(place, (_, head: string) => head + table);
  }, text);
  if (process.env.UPDATE_DOCS === '1') writeFileSync(page, wanted);
  else expect(text).toBe(wanted);
});

it('says of every export of @nestjs/cache-manager what to write instead, and of nothing else', () => {
  expect(Object.keys(INSTEAD).sort()).toEqual(exported().sort());
});

async function started(module: Type<unknown>) {
  const testing = await Test.createTestingModule({ imports: [module] }).compile();
  return testing.init();
}

@Module({ imports: [CacheModule.forRoot()], providers: [Next] })
class Afterwards {}

it.each([
  ['before', Before, ProfileService],
  ['after', After, ProfileService],
  ['with contracts of its own', Afterwards, Next],
] as const)('answers, and forgets what is written, %s', async (_, module, Service) => {
  const app = await started(module);
  const service = app.get<ProfileService | Next>(Service);
  await Promise.all(Array.from({ length: 10 }, () => service.find('u1')));
  expect([await service.find('u1'), service.queries]).toEqual(['Ada', 1]);
  await service.rename('u1', 'Grace');
  expect([await service.find('u1'), service.queries]).toEqual(['Grace', 2]);
  await app.close();
});
