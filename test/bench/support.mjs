import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * A fresh value, as from a wire: strings concatenated here would be kept as the trees of their parts, which weigh more
 * than any value a driver returns.
 */
export const userOf = (id) => JSON.parse(`{"id":"${id}","name":"name of ${id}"}`);

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
