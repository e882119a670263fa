import type { Writable } from 'node:stream';

const corked = new WeakSet<Writable>();

/** What is written to it until the promises of this turn are through goes out in one piece: each piece is a system call. */
export function writeTogether(stream: Writable): void {
  if (corked.has(stream)) return;
  corked.add(stream);
  stream.cork();
  process.nextTick(() => {
    corked.delete(stream);
    stream.uncork();
  });
}
