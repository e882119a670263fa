/** What somebody may have to wait for though nobody else does. */
export class UnderWay {
  private readonly all = new Set<Promise<unknown>>();

  add<T>(work: Promise<T> | undefined): Promise<T | undefined> {
    if (work === undefined) return Promise.resolve(undefined);
    const done = () => this.all.delete(work);
    this.all.add(work);
    work.then(done, done);
    return work;
  }

  /** Resolves when all that is under way now has come to its end, whatever that is. */
  settled(): Promise<unknown> {
    return Promise.allSettled(this.all);
  }
}
