import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

const PATIENCE_MS = 45_000;

/** A process of its own that takes locks, as test/integration/apps/ says. */
export interface LockProcess {
  readonly output: () => string;
  /** Resolves when it has printed that. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  tell(line: string): void;
  signal(name: NodeJS.Signals): void;
  /** Resolves to its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

export function startLockProcess(lib: string, app: string, settings: object): LockProcess {
  const file = join(import.meta.dirname, '../integration/apps', `${app}.mjs`);
  const entry = join(lib, 'lib/redis.js');
  const child = spawn(process.execPath, [file, JSON.stringify({ entry, ...settings })]);
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  return {
    output: () => output,
    ended,
    tell: (line) => void child.stdin.write(`${line}\n`),
    signal: (name) => void child.kill(name),
    said: async (pattern) => {
      for (const deadline = Date.now() + PATIENCE_MS; ; await setTimeout(10)) {
        const found = pattern.exec(output);
        if (found !== null) return found;
        if (Date.now() > deadline || child.exitCode !== null) {
          throw new Error(`It did not say ${String(pattern)}. It said:\n${output}`);
        }
      }
    },
  };
}
