import { EventEmitter } from 'node:events';
import type { KeyvStoreAdapter } from 'keyv';

/** A Keyv's adapter that keeps all in a table; subclasses say how it fails. */
export class KeyvTable extends EventEmitter implements KeyvStoreAdapter {
  readonly opts = {};
  namespace?: string | undefined;
  readonly table = new Map<string, unknown>();

  get<Value>(key: string): Promise<Value | undefined> {
    return this.answer(() => this.table.get(key) as Value | undefined, undefined);
  }

  set(key: string, value: unknown): Promise<void> {
    return this.answer(() => void this.table.set(key, value), undefined);
  }

  delete(key: string): Promise<boolean> {
    return this.answer(() => this.table.delete(key), false);
  }

  clear(): Promise<void> {
    return this.answer(() => this.table.clear(), undefined);
  }

  /** `without`: what an adapter that swallows its errors answers. */
  protected async answer<T>(what: () => T, _without: T): Promise<T> {
    return what();
  }
}

/** One that cannot be relied on, as a test says. */
export class TroubledKeyv extends KeyvTable {
  trouble: 'none' | 'throws' | 'tells' | 'hangs' = 'none';

  protected override answer<T>(what: () => T, without: T): Promise<T> {
    switch (this.trouble) {
      case 'none':
        return super.answer(what, without);
      case 'throws':
        return Promise.reject(new Error('connection lost'));
      case 'tells':
        this.emit('error', new Error('connection lost'));
        return Promise.resolve(without);
      case 'hangs':
        return new Promise(() => {});
    }
  }
}

/** The same for an adapter that reads several at once. */
export class TroubledKeyvOfMany extends TroubledKeyv {
  getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    return this.answer(
      () => keys.map((key) => this.table.get(key) as Value | undefined),
      keys.map(() => undefined),
    );
  }
}
