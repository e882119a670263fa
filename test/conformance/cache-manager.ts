import type { Case, Options, Subject } from './cache-manager/case.js';
import { entries } from './cache-manager/entries.js';
import { listeners } from './cache-manager/listeners.js';
import { times } from './cache-manager/times.js';
import { values } from './cache-manager/values.js';
import { wrapping } from './cache-manager/wrapping.js';

/** By what they are about, in the order of the page. */
export const CASES: { readonly [about: string]: readonly Case[] } = {
  entries,
  times,
  values,
  wrap: wrapping,
  events: listeners,
};

export interface CacheManagerHarness {
  create(options: Options): Subject;
  /** What is expected of a case by this subject. */
  expected(of: Case): unknown;
}

/** The behaviours of cache-manager, for itself and for what stands in for it. */
export function describeCacheManager(subject: string, harness: CacheManagerHarness): void {
  describe.each(Object.entries(CASES))(`${subject}: %s`, (_, cases) => {
    it.each(cases.map((of) => [of.name, of] as const))('%s', async (_name, of) => {
      expect(await of.run(harness.create(of.options ?? {}))).toEqual(harness.expected(of));
    });
  });
}
