import fc from 'fast-check';

/** Runs a property; `SEED=… npm test` repeats a run. The seed is part of every failure that fast-check prints. */
export async function holds(property: fc.IAsyncProperty<any> | fc.IProperty<any>, runs = 300) {
  const seed = process.env.SEED === undefined ? undefined : Number(process.env.SEED);
  await fc.assert(property as fc.IAsyncProperty<any>, {
    numRuns: runs,
    verbose: fc.VerbosityLevel.Verbose,
    ...(seed !== undefined && { seed }),
  });
}
