import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** What Redis executes as one step. Its file, which lies beside the code that uses it, says what it takes and returns. */
export class LuaScript {
  readonly text: string;
  /** Redis knows it by this once it has seen the text. */
  readonly sha: string;

  /** `from` is the `import.meta.url` of who uses it. */
  constructor(
    readonly name: string,
    from: string,
  ) {
    this.text = readFileSync(new URL(`./${name}.lua`, from), 'utf8');
    this.sha = createHash('sha1').update(this.text).digest('hex');
  }
}
