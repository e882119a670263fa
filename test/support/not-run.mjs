import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

/**
 * Says in the last line what was not run, and how to get it: a summary of passed tests hides that.
 *
 * `npm test` ends with the line of its second run. It speaks for the first as well because nothing may be left out
 * there: tests that need something of the machine belong to `serial`. With `CI=true` a test that nobody can explain
 * is a failure.
 */
export default class NotRun {
  constructor({ rootDir, testNamePattern }) {
    this.rootDir = rootDir;
    // Whoever names a test has asked for the others not to be run.
    this.silent = testNamePattern !== undefined && testNamePattern !== '';
    this.line = '';
    // At the very end: Jest adds its summary after all reporters.
    process.once('exit', () => {
      if (this.line !== '') console.error(`\n${this.line}`);
    });
  }

  onRunComplete(_contexts, { testResults }) {
    if (this.silent) return;
    const leftOut = testResults.flatMap((file) =>
      file.testResults.filter(isLeftOut).map((test) => ({ file, want: wantOf(file, test) })),
    );
    const others = leftOut.filter(({ want }) => want === undefined).map(({ file }) => file);
    this.line = [
      ...WANTS.map(({ name, fix }) => {
        const count = leftOut.filter(({ want }) => want === name).length;
        return count > 0 && `Not run: ${tests(count)}, for want of ${fix}`;
      }),
      others.length > 0 &&
        `Not run: ${tests(others.length)} in ${[...new Set(others)].map((file) => relative(this.rootDir, file.testFilePath)).join(', ')}.`,
    ]
      .filter(Boolean)
      .join(' ');
    if (others.length > 0 && process.env.CI === 'true') this.error = new Error(this.line);
  }

  getLastError() {
    return this.error;
  }
}

const WANTS = [
  {
    name: 'Redis',
    asks: 'hasRedis()',
    fix: 'Redis. Install its server (Debian: apt-get install redis-server).',
  },
  {
    name: 'PostgreSQL',
    asks: 'hasPostgres()',
    fix:
      process.env.DATABASE_URL === undefined
        ? 'PostgreSQL. Install its server (Debian: apt-get install postgresql), or set DATABASE_URL, which does for all but those that stop it.'
        : 'a PostgreSQL that may be stopped. Install its server (Debian: apt-get install postgresql), and unset DATABASE_URL.',
  },
];

const isLeftOut = ({ status }) => status === 'pending' || status === 'todo';

const tests = (count) => (count === 1 ? '1 test' : `${count} tests`);

/** What a test that was not run needs of the machine; nothing if that does not explain it. */
function wantOf(file, test) {
  if (file.displayName?.name === 'fast') return undefined;
  const text = readFileSync(file.testFilePath, 'utf8');
  return WANTS.find(({ name, asks }) => {
    if (!text.includes(asks)) return false;
    if (name === 'PostgreSQL') return true;
    // Some need both: where another test of the suite has found the first one, it is the second one that is missing.
    const [suite] = test.ancestorTitles;
    return (
      test.fullName.includes(name) &&
      file.testResults.filter(({ ancestorTitles: [own] }) => own === suite).every(isLeftOut)
    );
  })?.name;
}
