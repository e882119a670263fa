import type { Clock } from '../../time/clock.js';

const BYTES = 8;
/** A server may have been a replica meanwhile, and its connection have borne it. */
const KNOWN_FOR_MS = 1_000;

/** Of a server that does not say which one it has: nothing is doubtful there. */
export const NO_HISTORY: Buffer = Buffer.alloc(BYTES);

/**
 * Which history of its data a server has, as it says in INFO. It has another one from when it may lack the end of what was
 * acknowledged: a replica that becomes primary, and a server that starts from its disk.
 */
export class ServerHistory {
  private known: Buffer | undefined;
  private askedAt = -Infinity;

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  /** Whether it is to be asked before what is read can be judged. */
  get isOld(): boolean {
    return this.clock.monotonic() - this.askedAt > KNOWN_FOR_MS;
  }

  /** It is being asked. */
  asked(): void {
    this.askedAt = this.clock.monotonic();
  }

  /** The server may be another one from now on. */
  forget(): void {
    this.known = undefined;
  }

  /** What INFO has said of its replication. */
  learn(info: string): void {
    const [, id] = /^master_replid:([0-9a-f]{16})/m.exec(info) ?? [];
    this.known = id === undefined ? NO_HISTORY : Buffer.from(id, 'hex');
  }

  /** As the function of this name; everything is, as long as nothing is known. */
  isOther(bytes: Buffer, at: number): boolean {
    return this.known === undefined || isOther(bytes, at, this.known);
  }
}

/** Whether what lies at this place in `bytes` is another history than that of its server. */
export function isOther(bytes: Buffer, at: number, own: Buffer): boolean {
  if (bytes.length < at + BYTES) return false;
  const high = own.readUInt32LE(0);
  const low = own.readUInt32LE(4);
  if (bytes.readUInt32LE(at) === high && bytes.readUInt32LE(at + 4) === low) return false;
  return high !== 0 || low !== 0;
}
