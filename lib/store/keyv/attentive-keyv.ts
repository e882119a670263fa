/**
 * What is used of a Keyv.
 *
 * Not its class: that has private fields, and its declarations for ES modules and for CommonJS are two classes to the
 * compiler.
 */
export interface SharedKeyv {
  readonly opts: { readonly emitErrors?: boolean | undefined };
  /** Its adapter. */
  readonly store: unknown;
  getRaw(key: string): Promise<{ readonly value?: unknown } | undefined>;
  getMany(keys: string[]): Promise<unknown[]>;
  set(key: string, value: string, ttl?: number): Promise<boolean>;
  delete(key: string): Promise<boolean>;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  off(event: 'error', listener: (error: unknown) => void): unknown;
}

/** Something is there that the Keyv cannot read. */
export const UNREADABLE = Symbol('unreadable');

/**
 * A Keyv whose failures are failures. By itself it answers a failed read as if there were nothing, a failed delete as if
 * there had been nothing, and tells the failure in an 'error' event, as its adapters do: so what was under way during
 * such an event counts as failed, whoever's it was.
 *
 * @throws an Error, from every method, where it cannot be told what was done
 */
export class AttentiveKeyv {
  private failures = 0;
  private readonly onError = () => void this.failures++;

  constructor(
    private readonly keyv: SharedKeyv,
    /** A key that nobody writes. */
    private readonly probe: string,
  ) {
    keyv.on('error', this.onError);
  }

  /** The values, in the order of the keys. */
  async read(keys: readonly string[]): Promise<unknown[]> {
    if (keys.length > 1 && this.readsSeveral) {
      try {
        return await this.answered(() => this.keyv.getMany([...keys]));
      } catch {
        // It may be one of them that cannot be read.
        await this.answers();
      }
    }
    return Promise.all(keys.map((key) => this.readOne(key)));
  }

  async write(key: string, text: string, keepMs: number): Promise<void> {
    const isDone = await this.answered(() => this.keyv.set(key, text, keepMs));
    if (!isDone) throw new Error('the Keyv has not stored it');
  }

  /** Also where there is nothing. */
  async remove(key: string): Promise<void> {
    await this.answered(() => this.keyv.delete(key));
  }

  /** It is the Keyv of somebody else, who disconnects it. */
  leave(): void {
    this.keyv.off('error', this.onError);
  }

  /** Without an adapter that can, the Keyv reads one by one and says nothing of those that fail. */
  private get readsSeveral(): boolean {
    const { getMany } = (this.keyv.store ?? {}) as { readonly getMany?: unknown };
    return typeof getMany === 'function';
  }

  private async readOne(key: string): Promise<unknown> {
    try {
      return await this.valueOf(key);
    } catch {
      await this.answers();
    }
    try {
      // Once more: it may have come back only now.
      return await this.valueOf(key);
    } catch {
      return UNREADABLE;
    }
  }

  private async valueOf(key: string): Promise<unknown> {
    // `get` would not say that it has failed.
    const found = await this.answered(() => this.keyv.getRaw(key));
    return found === undefined || found === null ? undefined : (found.value ?? UNREADABLE);
  }

  /** That it answers at all: what cannot be deserialized looks like a failure too. */
  async answers(): Promise<void> {
    await this.answered(() => this.keyv.getRaw(this.probe));
  }

  private async answered<T>(ask: () => Promise<T>): Promise<T> {
    const { failures } = this;
    const answer = await ask();
    if (this.failures !== failures) throw new Error('the Keyv has told an error');
    return answer;
  }
}
