import { SystemClock } from '../../../lib/time/clock.js';

it('keeps the process alive for whoever waits for a timer, and no longer', () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const cancel = new SystemClock().after(60_000, () => undefined);
  expect(timers()).toBe(before + 1);
  cancel();
  expect(timers()).toBe(before);
});
