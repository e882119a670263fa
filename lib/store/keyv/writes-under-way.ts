interface Write {
  /** What it brings is not served any longer after that. */
  readonly until: number;
  isGivenUp: boolean;
}

/**
 * Writes of one entry that have got no answer yet. One that nobody waits for any more may still come, and bring back what
 * was removed meanwhile: so nothing that is there is trusted until it has come and is removed.
 */
export class WritesUnderWay {
  private readonly writes = new Set<Write>();

  /** `remove`: removes the entry, in its turn. False: others went on meanwhile, so it is not there. */
  async run(write: () => Promise<void>, until: number, remove: () => Promise<void>) {
    const mine: Write = { until, isGivenUp: false };
    this.writes.add(mine);
    const end = () => void this.writes.delete(mine);
    try {
      await write();
      return !mine.isGivenUp;
    } finally {
      // Where it cannot be removed it is not trusted until its time is over.
      if (mine.isGivenUp) void remove().then(end, () => undefined);
      else end();
    }
  }

  /** Nobody waits for them any more. */
  giveUp(now: number): void {
    for (const write of this.writes) {
      write.isGivenUp = true;
      if (now >= write.until) this.writes.delete(write);
    }
  }

  /** Whether there may be something that was removed. */
  areInDoubt(now: number): boolean {
    return this.some((write) => write.isGivenUp && now < write.until);
  }

  areOfUse(now: number): boolean {
    return this.some(({ until }) => now < until);
  }

  private some(is: (write: Write) => boolean): boolean {
    for (const write of this.writes) if (is(write)) return true;
    return false;
  }
}
