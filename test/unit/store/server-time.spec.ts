import { ServerTime } from '../../../lib/store/redis/server-time.js';
import { ManualClock } from '../../support/manual-clock.js';

const START_MS = 1_700_000_000_000;

describe('the time of the server', () => {
  let clock: ManualClock;
  let time: ServerTime;
  /** What its clock shows; ahead of ours by some constant. */
  let ahead: number;
  beforeEach(() => {
    clock = new ManualClock();
    time = new ServerTime(clock);
    ahead = START_MS;
  });
  const server = () => clock.monotonic() + ahead;
  /** An answer on whose way there and back so much time goes by. */
  const answer = (thereMs: number, backMs: number) => {
    const sentAt = clock.monotonic();
    clock.advance(thereMs);
    const micros = server() * 1_000;
    clock.advance(backMs);
    time.learn(micros, sentAt);
  };
  const error = () => Math.round(time.now() - server());

  it('is what this process takes for it before the server has said anything', () => {
    expect(Math.abs(time.now() - Date.now())).toBeLessThan(60_000);
    expect(time.isOld).toBe(true);
  });

  it('is wrong by half of what an answer took at most, and goes on with the clock of this process', () => {
    answer(40, 0);
    expect(error()).toBe(20);
    clock.advance(5_000);
    expect(error()).toBe(20);
    expect(time.isOld).toBe(false);
  });

  it('believes the quickest answer, for a minute at most', () => {
    answer(1, 1);
    for (let i = 0; i < 9; i++) {
      clock.advance(2_000);
      answer(40, 0);
      expect(error()).toBe(0);
    }
    ahead += 10;
    for (let i = 0; i < 15; i++) {
      clock.advance(4_000);
      answer(3, 3);
    }
    expect(error()).toBe(0);
  });

  it('does not believe an old answer because nothing was said for long', () => {
    answer(1, 1);
    answer(1, 1);
    clock.advance(3_600_000);
    expect(time.isOld).toBe(true);
    ahead += 40;
    answer(20, 20);
    expect(error()).toBe(0);
    expect(time.isOld).toBe(false);
  });

  it('follows a clock that was set, or this machine after it has slept', () => {
    answer(1, 1);
    ahead -= 5_000;
    answer(20, 20);
    expect(error()).toBe(0);
    ahead += 90_000;
    answer(20, 20);
    expect(error()).toBe(0);
  });

  it('is asked anew of the next server, and goes on as it was until that answers', () => {
    answer(1, 1);
    const before = error();
    time.forget();
    expect(error()).toBe(before);
    ahead += 30;
    answer(20, 20);
    expect(error()).toBe(0);
  });
});
