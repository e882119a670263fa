import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { compile } from './compiled-lib.js';

/** The applications under test/fault/apps, compiled, and the processes that run them. */
export interface Processes {
  /** For what belongs to them: databases, witnesses. */
  readonly directory: string;
  start(app: string, settings: object): Child;
  /** Ends those that still run. */
  stop(): Promise<void>;
  /** The same, and removes all there is of them. */
  remove(): Promise<void>;
}

export interface Child {
  readonly pid: number;
  /** All that it has printed. */
  readonly output: () => string;
  /** What of it went to its standard error. */
  readonly errors: () => string;
  /** Resolves to what it answers, if it is an application that does. */
  readonly ask: (name: string, ...args: readonly unknown[]) => Promise<unknown>;
  /** Resolves when it has printed that. */
  readonly said: (pattern: RegExp) => Promise<RegExpExecArray>;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** Resolves when it has ended by itself, by its code or by the name of a signal. */
  readonly ended: () => Promise<number | NodeJS.Signals>;
}

/** What an application is asked, one message each. */
export interface Question {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly failure?: string;
}

/** A machine may be slow; nothing here is expected to take a fraction of it. */
export const PATIENCE_MS = 45_000;

type Nothing = undefined | null | false;

/** Resolves to what `look` finds. */
export async function until<T>(
  what: string,
  look: () => Promise<T | Nothing> | T | Nothing,
): Promise<T> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await setTimeout(10)) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false) return found;
  }
  throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
}

export async function compileApps(): Promise<Processes> {
  const directory = mkdtempSync(join(tmpdir(), 'cache-fault-'));
  const code = join(directory, 'code');
  await compile(['lib', 'test/fault/apps', 'test/support'], code);
  const running = new Map<Child, Promise<unknown>>();
  const stop = async () => {
    for (const child of running.keys()) child.kill('SIGKILL');
    await Promise.all(running.values());
  };
  return {
    directory,
    stop,
    start: (app, settings) => {
      const [child, closed] = start(join(code, 'test/fault/apps', `${app}.js`), settings);
      running.set(child, closed);
      void closed.then(() => running.delete(child));
      return child;
    },
    remove: async () => {
      await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function start(file: string, settings: object): [Child, Promise<unknown>] {
  const env = { ...process.env, NO_COLOR: '1' };
  const child = spawn(process.execPath, [file, JSON.stringify(settings)], {
    env,
    stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
  }) as ChildProcessWithoutNullStreams;
  let [output, errors, asked] = ['', '', 0];
  const answers = new Map<number, Answer>();
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => {
    output += text;
    errors += text;
  });
  child.on('message', (answer) => answers.set((answer as Answer).id, answer as Answer));
  let end: number | NodeJS.Signals | undefined;
  const closed = once(child, 'close').then(([code, signal]) => (end = code ?? signal));
  const within = <T>(what: string, look: () => T | Nothing) =>
    until(what, look).catch((error: Error) => {
      throw new Error(`${error.message}. It said:\n${output}`);
    });
  const handle: Child = {
    pid: child.pid!,
    output: () => output,
    said: (pattern) =>
      within(`a process says ${String(pattern)}`, () => {
        const found = pattern.exec(output);
        if (found === null && end !== undefined) throw new Error(`it ended (${end})`);
        return found;
      }),
    errors: () => errors,
    ask: async (name, ...args) => {
      const id = ++asked;
      // Should it have ended, that is told below.
      child.send({ id, name, args } satisfies Question, () => undefined);
      const { failure, value } = await within(`a process answers ${name}`, () => {
        if (end !== undefined && !answers.has(id)) throw new Error(`it ended (${end})`);
        return answers.get(id);
      });
      answers.delete(id);
      if (failure !== undefined) throw new Error(`${name}: ${failure}`);
      return value;
    },
    kill: (signal) => child.kill(signal),
    ended: () => within('a process ends', () => end),
  };
  return [handle, closed];
}
