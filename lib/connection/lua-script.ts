import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/**
 * What Redis executes as one step. Its file, which lies beside the code that uses it, says what it takes and returns. A
 * line `-- include _name` stands for the text of another file there, which scripts have in common.
 */
export class LuaScript {
  readonly text: string;
  /** Redis knows it by this once it has seen the text. */
  readonly sha: string;

  /** `from` is the `import.meta.url` of who uses it. */
  constructor(
    readonly name: string,
    from: string,
  ) {
    const read = (file: string) => readFileSync(new URL(`./${file}.lua`, from), 'utf8');
    this.text = read(name).replace(/^-- include (\S+)$/gm, (_, fragment: string) => read(fragment));
    this.sha = createHash('sha1').update(this.text).digest('hex');
  }
}
