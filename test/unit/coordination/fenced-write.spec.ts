import sqlite from 'node-sqlite3-wasm';
import type { Lock } from '../../../lib/coordination/distributed-lock.js';
import { MemoryLock } from '../../../lib/coordination/memory-lock.js';
import { ManualClock } from '../../support/manual-clock.js';

/** An account whose row remembers the greatest fence that wrote it. */
function bank() {
  const clock = new ManualClock();
  const db = new sqlite.Database(':memory:');
  db.exec('CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER, fence INTEGER)');
  db.exec("INSERT INTO account VALUES ('a1', 100, 0)");
  const balance = () => Number(db.get("SELECT balance FROM account WHERE id = 'a1'")!.balance);
  return {
    clock,
    db,
    balance,
    locks: new MemoryLock(clock),
    /** How many rows it wrote. */
    write: (amount: number, { fence }: Lock) =>
      db.run('UPDATE account SET balance = ?, fence = ? WHERE id = ? AND fence < ?', [
        amount,
        fence,
        'a1',
        fence,
      ]).changes,
  };
}

describe('a row that checks the fence', () => {
  it('refuses the write of a holder that stalled past its ttl, after its successor has written', async () => {
    const { clock, db, balance, locks, write } = bank();
    const first = (await locks.acquire('account a1', { ttl: '1s' }))!;
    const seenByFirst = balance();
    clock.stall(1_000);
    const second = (await locks.acquire('account a1', { ttl: '1s' }))!;
    expect(write(balance() - 30, second)).toBe(1);
    expect(write(seenByFirst - 50, first)).toBe(0);
    expect([balance(), first.signal.aborted]).toEqual([70, true]);
    db.close();
  });

  it('accepts the write of every holder in turn', async () => {
    const { db, balance, locks, write } = bank();
    const withdraw = () => locks.run('account a1', async (lock) => write(balance() - 10, lock));
    expect(await Promise.all([withdraw(), withdraw(), withdraw()])).toEqual([1, 1, 1]);
    expect(balance()).toBe(70);
    db.close();
  });
});
