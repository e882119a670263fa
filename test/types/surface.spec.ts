import { join } from 'node:path';
import ts from 'typescript';

const here = import.meta.dirname;
const accepted = join(here, 'accepted.ts');
const refused = join(here, 'refused.ts');
const refusedText = ts.sys.readFile(refused)!;
/** `refused.ts` with its errors not expected, so that the compiler says what a newcomer reads. */
const shown = join(here, 'refused.shown.ts');
const shownText = refusedText.replaceAll('// @ts-expect-error ', '// ');

const config = ts.getParsedCommandLineOfConfigFile(
  join(here, '../../tsconfig.json'),
  {},
  { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined },
)!;

/** What the compiler says about one of the three files: each line, counted from 0, and the whole text. */
function compile(more: ts.CompilerOptions) {
  const options = { ...config.options, ...more };
  const disk = ts.createCompilerHost(options);
  const program = ts.createProgram([accepted, refused, shown], options, {
    ...disk,
    fileExists: (file) => file === shown || disk.fileExists(file),
    getSourceFile: (file, language, ...rest) =>
      file === shown
        ? ts.createSourceFile(file, shownText, language, true)
        : disk.getSourceFile(file, language, ...rest),
  });
  return (file: string) => {
    const source = program.getSourceFile(file)!;
    return [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ].map(({ start, messageText }) => ({
      line: source.getLineAndCharacterOfPosition(start!).line,
      text: ts.flattenDiagnosticMessageText(messageText, '\n'),
    }));
  };
}

const exact = { exactOptionalPropertyTypes: true };

describe.each([{}, exact])('the public types, compiled with %j', (options) => {
  const diagnostics = compile(options);

  it('accept every use that is meant', () => expect(diagnostics(accepted)).toEqual([]));
  it('refuse every use that is not', () => expect(diagnostics(refused)).toEqual([]));
});

describe('what a newcomer reads about', () => {
  const said = compile({})(shown);
  const lines = refusedText.split('\n');

  it.each([
    ['an option that does not exist', "Did you mean to write 'maxStaleness'?"],
    ['a malformed duration', `'"90 sec"' is not assignable to type 'Duration | Bounds<Duration>'`],
    ['no write strategy', "Property 'write' is missing"],
    ['class instances without revive', "Property 'revive' is missing"],
    ['staleFor, which nothing keeps yet', "'staleFor' does not exist in type"],
    ['a method that does not return a promise', 'the method must return a Promise'],
    ['another value than the entity holds', 'something other than the value of the entity'],
    [
      'a return type that excludes null, which would come from the cache',
      'return type of the method excludes',
    ],
    [
      'a number as key of an entity with text keys',
      'not of the key type of the entity: give a key function',
    ],
    ['two arguments and no key function', 'the method takes exactly one argument, the key'],
    [
      'a tuple key without a key function',
      'a single string, number or bigint needs a key function',
    ],
    ['a key function of other arguments', 'the key function takes other arguments than the method'],
    ['keysOf of another result', 'another result than the method resolves to'],
  ])('%s', (use, sentence) => {
    const line = lines.findIndex((text) => text.endsWith(`@ts-expect-error ${use}`)) + 1;
    expect(said.find((diagnostic) => diagnostic.line === line)?.text).toContain(sentence);
  });
});
