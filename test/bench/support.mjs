import { fork } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { transformFileSync } from '@swc/core';

/**
 * A fresh value, as from a wire: strings concatenated here would be kept as the trees of their parts, which weigh more
 * than any value a driver returns.
 */
export const userOf = (id) => JSON.parse(`{"id":"${id}","name":"name of ${id}"}`);

/** A helper of the tests, which are written in TypeScript, and those it needs beside it. */
export async function supportFor(name, ...needed) {
  const folder = fileURLToPath(new URL('../../node_modules/.cache/bench/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  for (const file of [name, ...needed]) {
    const { code } = transformFileSync(
      fileURLToPath(new URL(`../support/${file}.ts`, import.meta.url)),
      {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
      },
    );
    writeFileSync(`${folder}${file}.mjs`, code.replaceAll(/(from '\.\/[\w-]+)\.js'/g, "$1.mjs'"));
  }
  return import(pathToFileURL(`${folder}${name}.mjs`).href);
}

/** Collects garbage until what finalizers and timers hold for a moment is gone too. */
export async function settle() {
  for (let i = 0; i < 8; i++) {
    globalThis.gc();
    await delay(5);
  }
}

/** The process that measures one subject by one program. */
export class Child {
  #process;
  #ended;

  constructor(program, subject) {
    const file = fileURLToPath(new URL('child.mjs', import.meta.url));
    this.#process = fork(file, [program, subject], { execArgv: ['--expose-gc'] });
    this.#ended = once(this.#process, 'exit').then(([code, signal]) => {
      throw new Error(`its process ended with ${code ?? signal}`);
    });
    // Told to those who ask from now on; when it is stopped nobody does.
    this.#ended.catch(() => {});
  }

  /** Rejects if the subject fails, ends its process or does not answer. */
  async ask(task) {
    const settled = new AbortController();
    const { signal } = settled;
    const late = delay(60_000, undefined, { signal }).then(() => {
      throw new Error('no answer within a minute');
    });
    try {
      const answer = once(this.#process, 'message', { signal });
      this.#process.send(task, () => {}); // If it cannot be sent, the process has ended.
      const [{ result, error }] = await Promise.race([answer, this.#ended, late]);
      if (error !== undefined) throw new Error(error);
      return result;
    } finally {
      settled.abort();
    }
  }

  stop() {
    this.#process.kill('SIGKILL');
  }
}
