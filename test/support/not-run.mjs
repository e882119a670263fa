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
    const files = testResults
      .map((file) => ({ file, count: file.testResults.filter(isLeftOut).length }))
      .filter(({ count }) => count > 0);
    const excused = files.filter(({ file }) => needsPostgres(file));
    const others = files.filter((each) => !excused.includes(each));
    this.line = [
      excused.length > 0 && `Not run: ${sum(excused)}, for want of ${POSTGRES}`,
      others.length > 0 &&
        `Not run: ${sum(others)} in ${others.map(({ file }) => relative(this.rootDir, file.testFilePath)).join(', ')}.`,
    ]
      .filter(Boolean)
      .join(' ');
    if (others.length > 0 && process.env.CI === 'true') this.error = new Error(this.line);
  }

  getLastError() {
    return this.error;
  }
}

const POSTGRES =
  process.env.DATABASE_URL === undefined
    ? 'PostgreSQL. Install its server (Debian: apt-get install postgresql), or set DATABASE_URL, which does for all but those that stop it.'
    : 'a PostgreSQL that may be stopped. Install its server (Debian: apt-get install postgresql), and unset DATABASE_URL.';

const isLeftOut = ({ status }) => status === 'pending' || status === 'todo';

function sum(files) {
  const all = files.reduce((sum, { count }) => sum + count, 0);
  return all === 1 ? '1 test' : `${all} tests`;
}

function needsPostgres({ displayName, testFilePath }) {
  return (
    displayName?.name !== 'fast' && readFileSync(testFilePath, 'utf8').includes('hasPostgres()')
  );
}
