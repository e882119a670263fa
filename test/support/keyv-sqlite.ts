import { EventEmitter } from 'node:events';
import type { KeyvStoreAdapter } from 'keyv';
import sqlite from 'node-sqlite3-wasm';

/** Keeps what a Keyv writes in SQLite, as the adapters for databases do: keys of limited length, no expiry of its own. */
export class KeyvSqlite extends EventEmitter implements KeyvStoreAdapter {
  readonly opts = {};
  namespace?: string | undefined;
  private readonly database = new sqlite.Database(':memory:');

  constructor() {
    super();
    this.database.exec(
      'CREATE TABLE keyv (key VARCHAR(255) PRIMARY KEY CHECK (length(key) <= 255), value TEXT)',
    );
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    const [row] = this.database.all('SELECT value FROM keyv WHERE key = ?', [key]);
    return row?.value as Value | undefined;
  }

  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    const list = keys.map(() => '?').join();
    const rows = this.database.all(`SELECT key, value FROM keyv WHERE key IN (${list})`, keys);
    const values = new Map(rows.map(({ key, value }) => [key, value as Value]));
    return keys.map((key) => values.get(key));
  }

  async set(key: string, value: string): Promise<void> {
    this.database.run('INSERT OR REPLACE INTO keyv VALUES (?, ?)', [key, value]);
  }

  async delete(key: string): Promise<boolean> {
    return this.database.run('DELETE FROM keyv WHERE key = ?', [key]).changes > 0;
  }

  async clear(): Promise<void> {
    this.database.exec('DELETE FROM keyv');
  }

  async disconnect(): Promise<void> {
    this.database.close();
  }
}
