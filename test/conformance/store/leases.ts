import { USER, watched, type Subject } from './subject.js';

/** Who may load, and who waits. */
export function describeLeases(subject: () => Subject): void {
  describe('a lease', () => {
    let at: Subject;
    beforeEach(() => void (at = subject()));

    it('is granted to one at a time, whatever the number of those who ask and their processes', async () => {
      const askers = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? at.store : at.other));
      const answers = await Promise.all(askers.map((from) => at.lease(from)));
      const outcomes = answers.map(({ outcome }) => outcome);
      expect(outcomes.filter((outcome) => outcome === 'granted')).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === 'held')).toHaveLength(39);
      for (const answer of answers) if (answer.outcome === 'held') answer.leave();
    });

    it('is one per entry', async () => {
      await at.granted(at.store);
      await at.granted(at.store, {}, { entity: 'user', id: '8' });
      await at.granted(at.store, {}, { entity: 'order', id: '7' });
    });

    it('names one attempt: who holds it and asks again is held up like anybody else', async () => {
      await at.granted();
      (await at.answer('held', at.store)).leave();
    });

    it('has a token of its own, all of one width', async () => {
      const tokens: string[] = [];
      for (let i = 0; i < 10; i++) {
        const leased = await at.granted(i % 2 === 0 ? at.store : at.other);
        await at.fail(leased);
        tokens.push(leased.token, (await at.claim()).token);
        await at.invalidate();
      }
      expect(new Set(tokens).size).toBe(tokens.length);
      expect(new Set(tokens.map((token) => token.length)).size).toBe(1);
    });

    it('was granted at a time of the store', async () => {
      const [before, lease, after] = [at.store.now(USER), await at.granted(), at.store.now(USER)];
      expect(lease.entry).toEqual(USER);
      expect(lease.grantedAt).toBeGreaterThan(before - at.second);
      expect(lease.grantedAt).toBeLessThan(after + at.second);
      await at.advance(4);
      const moved = (await at.claim(at.other)).grantedAt - lease.grantedAt;
      expect(Math.round(moved / at.second)).toBeGreaterThanOrEqual(4);
    });

    it('ends by itself: the next one to ask has it, and what the former one loaded is not stored', async () => {
      const former = await at.granted(at.store, { lease: 3 });
      await at.advance(2);
      const { forMs, leave } = await at.answer('held', at.other);
      leave();
      expect(forMs).toBeGreaterThan(0);
      expect(forMs).toBeLessThan(2 * at.second);
      await at.advance(2);
      const next = await at.granted(at.other);
      expect([await at.fill(former), await at.fill(next)]).toEqual(['voided', 'stored']);
    });

    it('that is over stores nothing, also if nobody else wants it', async () => {
      const lease = await at.granted(at.store, { lease: 3 });
      await at.advance(4);
      expect([await at.fill(lease), await at.store.read(USER)]).toEqual(['voided', undefined]);
    });

    it('stores once: a second copy of what was sent changes nothing', async () => {
      const lease = await at.granted();
      const stored = at.content(lease);
      expect(await at.fill(lease, stored)).toBe('stored');
      const again = { ...stored, payload: undefined };
      expect(await at.fill(lease, again, 59, at.other)).toBe('voided');
      await at.fail(lease, 9);
      expect(await at.store.read(USER)).toEqual(stored);
      await at.invalidate();
      await at.granted();
    });

    it('may be used by another process than the one that asked', async () => {
      const lease = await at.granted(at.store);
      expect(await at.fill(lease, {}, 59, at.other)).toBe('stored');
    });

    it('is not granted while there is something fresh, until that is not', async () => {
      const stored = await at.put({ freshFor: 5 });
      await at.advance(4);
      expect((await at.answer('fresh', at.other)).stored).toEqual(stored);
      await at.advance(2);
      await at.granted(at.other);
    });

    it('comes with what is good enough for who asks, counted from its soft expiry', async () => {
      const stored = await at.put({ freshFor: 3 });
      await at.advance(10);
      const stale = async (staleFor: number) => {
        const answer = await at.answer('granted', at.store, { staleFor });
        await at.fail(answer.lease);
        return answer.stale;
      };
      expect([await stale(6), await stale(8)]).toEqual([undefined, stored]);
      await at.granted();
      const held = async (staleFor: number) => {
        const answer = await at.answer('held', at.other, { staleFor, staleOnError: 99 });
        answer.leave();
        return answer.stale;
      };
      expect([await held(6), await held(8)]).toEqual([undefined, stored]);
    });

    it('is granted to who needs something newer; what is not newer is not good enough in any way', async () => {
      const stored = await at.put();
      const newerThan = stored.loadedAt;
      await at.answer('fresh', at.store, { newerThan: newerThan - 1 });
      const forgiving = { newerThan, staleFor: 99, staleOnError: 99 };
      const granted = await at.answer('granted', at.store, forgiving);
      const held = await at.answer('held', at.other, forgiving);
      held.leave();
      await at.fail(granted.lease, 9);
      const again = await at.answer('granted', at.other, forgiving);
      expect([granted.stale, held.stale, again.stale]).toEqual([undefined, undefined, undefined]);
      expect(await at.store.read(USER)).toEqual(stored);
    });
  });

  describe('a load that fails', () => {
    let at: Subject;
    beforeEach(async () => {
      at = subject();
      await at.put({ freshFor: 3 });
      await at.advance(4);
    });

    it('gives the lease back', async () => {
      await at.fail(await at.granted());
      await at.granted(at.other, { staleOnError: 99 });
    });

    it('has the source left alone for a while by those who have something good enough for that', async () => {
      await at.fail(await at.granted(), 9);
      await at.advance(2);
      const { forMs, stale } = await at.answer('cooling', at.other, { staleOnError: 8 });
      expect(stale).toEqual(await at.store.read(USER));
      expect(forMs).toBeGreaterThan(6 * at.second);
      expect(forMs).toBeLessThan(8 * at.second);
      await at.advance(8);
      await at.granted(at.other, { staleOnError: 99 });
    });

    it.each([{ staleOnError: 0 }, { staleOnError: 0, staleFor: 8 }])(
      'has nobody wait who has nothing good enough for that: %p',
      async (terms) => {
        await at.fail(await at.granted(), 9);
        await at.granted(at.store, terms);
        const { leave } = await at.answer('held', at.other, { staleOnError: 99 });
        leave();
      },
    );

    it.each(['invalidated', 'written'])('says nothing any more once it is %s', async (how) => {
      await at.fail(await at.granted(), 9);
      if (how === 'written') await at.fill(await at.claim(), { freshFor: -1 });
      else await at.invalidate({ atLeast: 1, keep: 9 });
      await at.granted(at.other, { staleOnError: 99 });
    });

    it('changes nothing if somebody else has the lease by then', async () => {
      const former = await at.granted();
      await at.invalidate();
      const next = await at.granted();
      await at.fail(former, 9);
      expect(await at.fill(next)).toBe('stored');
    });
  });

  describe('who is held up', () => {
    let at: Subject;
    beforeEach(() => void (at = subject()));

    it.each(['fill', 'older version', 'fail', 'invalidate', 'invalidate below', 'claim'])(
      'in every process is woken by %s, and not before',
      async (end) => {
        if (end === 'older version') await at.put({ version: 2, freshFor: -1 });
        const lease = await at.granted();
        const waiting = [];
        for (const from of [at.store, at.other, at.other]) {
          waiting.push(watched((await at.answer('held', from)).woken));
        }
        await at.settle();
        expect(waiting).toEqual(Array(3).fill({ done: false }));
        if (end === 'fill') await at.fill(lease);
        else if (end === 'older version') await at.fill(lease, { version: 1 });
        else if (end === 'fail') await at.fail(lease, 9);
        else if (end === 'claim') await at.claim();
        else await at.invalidate(end === 'invalidate' ? undefined : { atLeast: 1, keep: 9 });
        await at.settle();
        expect(waiting).toEqual(Array(3).fill({ done: true }));
      },
    );

    it('by a writer is woken when the write is stored', async () => {
      const lease = await at.claim();
      const waiting = watched((await at.answer('held', at.other)).woken);
      await at.settle();
      expect(waiting.done).toBe(false);
      await at.fill(lease);
      await at.settle();
      expect(waiting.done).toBe(true);
    });

    it('may leave, also twice and after all is over, and nobody else is woken less for it', async () => {
      const lease = await at.granted();
      const [leaving, staying] = [
        await at.answer('held', at.other),
        await at.answer('held', at.other),
      ];
      const waiting = watched(staying.woken);
      leaving.leave();
      leaving.leave();
      await at.fill(lease);
      await at.settle();
      expect(waiting.done).toBe(true);
      staying.leave();
      leaving.leave();
    });

    it('may leave when he was woken and the next one waits already, who is woken all the same', async () => {
      await at.granted();
      const earlier = await at.answer('held', at.other);
      await at.invalidate();
      await at.settle();
      const lease = await at.granted();
      const waiting = watched((await at.answer('held', at.other)).woken);
      earlier.leave();
      await at.fill(lease);
      await at.settle();
      expect(waiting.done).toBe(true);
    });

    it('is not woken by another entry', async () => {
      await at.granted();
      const lease = await at.granted(at.store, {}, { entity: 'user', id: '8' });
      const held = await at.answer('held', at.other);
      const waiting = watched(held.woken);
      await at.fill(lease);
      await at.settle();
      expect(waiting.done).toBe(false);
      held.leave();
    });
  });
}
