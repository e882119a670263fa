import { Background } from '../../../lib/time/background.js';
import { deferred } from '../../support/engine.js';
import { ManualClock } from '../../support/manual-clock.js';

describe('background work', () => {
  it('is waited for at close, with what it starts meanwhile, and no timer is left', async () => {
    const clock = new ManualClock();
    const background = new Background(clock);
    const [first, second] = [deferred<void>(), deferred<void>()];
    background.after(1_000, () => undefined);
    background.track(first.promise.then(() => background.track(second.promise)));
    let closed = false;
    const closing = background.close().then(() => (closed = true));
    first.resolve();
    await new Promise(setImmediate);
    expect(closed).toBe(false);
    second.resolve();
    await closing;
    expect([background.size, clock.pending]).toEqual([0, 0]);
  });

  it('does not turn a failure somebody else handles into an unhandled one', async () => {
    const background = new Background(new ManualClock());
    const failing = Promise.reject(new Error('handled elsewhere'));
    background.track(failing);
    await expect(failing).rejects.toThrow('handled elsewhere');
    await background.close();
  });
});
