import { formatDuration, parseDuration } from '../../../lib/time/duration.js';

describe('durations', () => {
  it.each([
    [0, 0],
    [250, 250],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
  ])('reads %p as %p ms', (written, ms) => {
    expect(parseDuration(written)).toBe(ms);
  });

  it.each([
    '',
    '30',
    '30 s',
    '30S',
    '1h30m',
    '1e3s',
    '-5s',
    '.5s',
    '5.s',
    ' 5s',
    '5s\n',
    NaN,
    Infinity,
    -1,
    null,
    undefined,
    {},
    true,
  ])('refuses %p, because it could be meant in two ways or in none', (written) => {
    expect(parseDuration(written)).toBeUndefined();
  });

  it.each([
    [0, '0ms'],
    [1, '1ms'],
    [1_500, '1500ms'],
    [90_000, '90s'],
    [120_000, '2m'],
    [86_400_000, '1d'],
  ])('writes %p ms as %p, so that it reads back exactly', (ms, written) => {
    expect(formatDuration(ms)).toBe(written);
    expect(parseDuration(written)).toBe(ms);
  });
});
