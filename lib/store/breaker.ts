/** So many failures in a row, and nobody waits for it any more. */
const MOST_FAILURES = 5;
/** How often it is asked then whether it is back. */
const PROBE_MS = 500;

/** Whether what has failed is asked all the same. */
export class Breaker {
  private failures = 0;
  private probeAt = 0;

  /** Nothing is known that one that has just begun would not know. */
  get isFresh(): boolean {
    return this.failures === 0;
  }

  /** One call goes through now and then while it is out of reach, to see whether it still is. */
  admits(now: number): boolean {
    if (this.failures < MOST_FAILURES) return true;
    if (now < this.probeAt) return false;
    this.probeAt = now + PROBE_MS;
    return true;
  }

  failed(now: number): void {
    this.failures++;
    if (this.failures === MOST_FAILURES) this.probeAt = now + PROBE_MS;
  }

  answered(): void {
    this.failures = 0;
  }
}
