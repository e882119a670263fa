import { Writable } from 'node:stream';
import { writeTogether } from '../../../lib/connection/write-together.js';

it('what is written in one turn goes out in one piece, and what is written later in another', async () => {
  const pieces: string[] = [];
  const stream = new Writable({
    decodeStrings: false,
    write: (chunk: string, _, done) => (pieces.push(chunk), done()),
    writev: (chunks, done) => (pieces.push(chunks.map(({ chunk }) => chunk).join('')), done()),
  });
  const send = (text: string) => {
    writeTogether(stream);
    stream.write(text);
  };
  for (const turn of ['first', 'second']) {
    send(`${turn} `);
    await Promise.resolve();
    send('turn');
    await new Promise(setImmediate);
    expect(pieces.at(-1)).toBe(`${turn} turn`);
  }
  expect(pieces).toHaveLength(2);
});
