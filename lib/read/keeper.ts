import type { ReadThroughPolicy } from '../contract/policy.js';
import { CacheRecord, type HandOut, type RecordExtras } from '../entry/record.js';
import { copy } from '../entry/copy.js';
import { seal, Unstorable, type Sealed } from '../entry/seal.js';
import { comparable, type Comparable } from '../entry/version.js';
import { weightOf } from '../entry/weight.js';
import { nameOf, show } from '../errors/wording.js';
import type { EventSource, Trace } from '../events/event-source.js';
import { channels, type CacheEvents } from '../events/events.js';
import type { FillOutcome } from '../store/cache-store.js';
import type { EntityState } from '../store/entity-state.js';
import type { TagTable } from '../store/tag-table.js';
import type { Clock } from '../time/clock.js';
import { tagsOf, type Untaggable } from './value-tags.js';

/** An error can hold on to sockets and bodies; one that says that there is nothing should not. */
const MOST_BYTES_OF_ABSENCE = 16_384;

/** When a load or a write began: what the source said later may be missing from its value. */
export interface Begun {
  readonly trace: Trace | undefined;
  /** On the monotonic clock. */
  readonly startedAt: number;
  /** Where the tags stood then. */
  readonly taggedAt: number;
}

/** Where a value came from and when: what decides whether it may be stored, and for how long. */
export interface Origin extends Begun {
  readonly state: EntityState;
  readonly id: string;
  /** Shorter than the contract's, or `Infinity`. */
  readonly ttlMs?: number;
  readonly tags?: readonly string[];
  /** What is done with it in the store that this process shares with others. */
  readonly shared?: SharedCopy;
  /** Why it is not to be stored, asked when everything else is done. */
  readonly refused: () => 'invalidated meanwhile' | 'skipped' | undefined;
}

/** The right to store an entry where others see it. One of the three is called, once. */
export interface SharedCopy {
  /**
   * `keep`: puts the record into the table of this process; called if the store has taken it, and nothing has changed here
   * meanwhile. What became of it is told as an event; a failure, and nothing, is for who gave the right.
   */
  store(record: CacheRecord, keep: () => void): Promise<FillOutcome | 'too large'> | undefined;
  /** What came is not to be stored; what is there may stay. */
  leave(): void;
  /** What is there is not true any more. */
  remove(): void;
}

/** Makes records of what the source said, and stores them if nothing speaks against it. */
export class Keeper {
  constructor(
    private readonly clock: Clock,
    private readonly tags: TagTable,
    private readonly events: EventSource,
  ) {}

  /** What a load or a write begins with. */
  begin(trace: Trace | undefined): Begun {
    return { trace, startedAt: this.clock.monotonic(), taggedAt: this.tags.now };
  }

  /** The value as its callers get it, and as it is stored unless it cannot or must not be. */
  keep(origin: Origin, said: unknown): CacheRecord {
    const { state, id } = origin;
    const seen = state.pending === undefined ? { value: said } : state.pending.over(id, said);
    if (seen === undefined) return this.unmergeable(origin, said);
    const { value } = seen;
    if (value === undefined) {
      this.disprove(origin);
      return this.record(origin, undefined, 'shared');
    }
    const sealed = this.sealed(origin, value);
    if (sealed === undefined) {
      this.disprove(origin);
      return this.record(origin, value, 'raw');
    }
    const tags = tagsOf(state, value, origin.tags);
    if ('why' in tags) {
      this.untaggable(origin, tags);
      return this.record(origin, sealed.value, sealed.handOut);
    }
    const extras = this.extras(origin, value, sealed.bytes, tags);
    const record = this.record(origin, sealed.value, sealed.handOut, extras);
    this.store(origin, record);
    return record;
  }

  private untaggable(origin: Origin, { code, why }: Untaggable): void {
    const { entity } = origin.state.policy;
    const message = `A value of '${entity}' was returned but not stored: ${why}`;
    this.events.fault(code, entity, message, origin.trace);
    this.announce(origin, 'unstorable', 0);
    this.disprove(origin);
  }

  private unmergeable(origin: Origin, said: unknown): CacheRecord {
    const { entity } = origin.state.policy;
    this.events.fault(
      'CACHE_VALUE_UNSTORABLE',
      entity,
      `A value of '${entity}' was returned but not stored: it is a ${typeof said}, and mutations wait to be added to it. ` +
        `Fix: return a number or bigint, as in Number(row.views): some drivers give 64-bit columns as text.`,
      origin.trace,
    );
    this.disprove(origin);
    return this.record(origin, said, 'raw');
  }

  /** The error that means that there is nothing. */
  keepAbsence(origin: Origin, error: unknown): CacheRecord {
    const bytes = weightOf(error);
    if (origin.state.remote !== undefined) {
      // An error cannot be given to other processes as it is.
      this.disprove(origin);
      return this.record(origin, error, 'thrown');
    }
    const tags = tagsOf(origin.state, null, origin.tags);
    if ('why' in tags) {
      this.untaggable(origin, tags);
      return this.record(origin, error, 'thrown');
    }
    const record = this.record(origin, error, 'thrown', this.extras(origin, null, bytes, tags));
    if (bytes <= MOST_BYTES_OF_ABSENCE) {
      this.store(origin, record);
      return record;
    }
    const { entity } = origin.state.policy;
    this.events.fault(
      'CACHE_VALUE_UNSTORABLE',
      entity,
      `An error that means absence in '${entity}' was thrown but not remembered: it holds on to more than ${MOST_BYTES_OF_ABSENCE} bytes, such as a request and its response. ` +
        `Fix: throw a small error of your own.`,
      origin.trace,
    );
    this.announce(origin, 'unstorable', 0);
    this.disprove(origin);
    return record;
  }

  /** The source said something that cannot be kept: what was held until now is not true any more. */
  private disprove({ state, id, shared, refused }: Origin): void {
    if (refused() !== undefined) return shared?.leave();
    state.table.delete(id);
    shared?.remove();
  }

  private store(origin: Origin, record: CacheRecord): void {
    const { state, id } = origin;
    const refused = origin.refused() ?? this.outdated(state, id, record);
    // The source lags: it is not asked again at once for what is there in a newer version.
    if (refused === 'older version') state.coolDown.failed(id, this.clock.monotonic());
    if (refused !== undefined) {
      this.announce(origin, refused, record.bytes);
      origin.shared?.leave();
    } else if (state.remote === undefined) {
      this.announce(origin, state.table.set(id, record) ? 'stored' : 'too large', record.bytes);
    } else {
      const stored = origin.shared?.store(record, () => this.copy(state, id, record));
      stored?.then(
        (outcome) => {
          const told = outcome === 'voided' ? 'invalidated meanwhile' : outcome;
          this.announce(origin, told, record.bytes);
        },
        () => undefined,
      );
    }
  }

  /** A copy of what others share: in the table only where the contract bears that nobody says when it changes. */
  private copy(state: EntityState, id: string, record: CacheRecord): void {
    if (state.policy.keptIn === 'store and process') state.table.set(id, record);
  }

  private outdated(state: EntityState, id: string, record: CacheRecord) {
    const { extras } = record;
    if (extras !== undefined && !this.tags.isCurrent(extras.tags, extras.taggedAt)) {
      return 'invalidated meanwhile';
    }
    return record.absent || state.admits(id, extras?.version) ? undefined : 'older version';
  }

  /** Nothing if the value cannot be kept. Its callers get it as it is, and somebody hears of it. */
  private sealed(origin: Origin, value: unknown): Sealed | undefined {
    const { entity, revive } = origin.state.policy;
    try {
      const sealed = seal(value, revive !== undefined);
      // Tried once before it is stored, so that a hit does not find out.
      if (sealed.handOut === 'revived' && (revive!(copy(sealed.value)) ?? null) === null) {
        throw new TypeError('revive returned nothing');
      }
      return sealed;
    } catch (error) {
      const why =
        error instanceof Unstorable
          ? told(error, entity, revive !== undefined)
          : failed(error, entity);
      this.events.fault(
        'CACHE_VALUE_UNSTORABLE',
        entity,
        `A value of '${entity}' was returned but not stored: ${why}`,
        origin.trace,
      );
      this.announce(origin, 'unstorable', 0);
      return undefined;
    }
  }

  private extras(
    origin: Origin,
    value: unknown,
    bytes: number,
    tags: readonly string[],
  ): RecordExtras | undefined {
    const version = value === null ? undefined : this.versionOf(origin, value);
    const counts = (origin.state.policy.read as ReadThroughPolicy).maxBytes < Infinity;
    if (tags.length === 0 && version === undefined && !counts) return undefined;
    return { bytes: counts ? bytes : 0, tags, taggedAt: origin.taggedAt, version };
  }

  /** Nothing, and a fault, if the contract cannot tell it. */
  private versionOf({ state, trace }: Origin, value: unknown): Comparable | undefined {
    const { entity, version: ask } = state.policy;
    let what: string;
    try {
      const version: unknown = ask?.(value);
      const known = comparable(version);
      if (known !== undefined || version === undefined) return known;
      what = `must return a number, a bigint or a Date, got ${show(version)}`;
    } catch (error) {
      what = `threw ${nameOf(error)}`;
    }
    const message = `\`version\` of '${entity}' ${what}; the value was treated as one without version. Fix: look at \`version\` in the contract of '${entity}'.`;
    this.events.fault('CACHE_CALLBACK_FAILED', entity, message, trace);
    return undefined;
  }

  private record(
    { state, startedAt, ttlMs = Infinity }: Origin,
    value: unknown,
    handOut: HandOut,
    extras?: RecordExtras,
  ): CacheRecord {
    const read = state.policy.read as ReadThroughPolicy;
    const ttl = value === null || handOut === 'thrown' ? read.negativeTtlMs : read.ttlMs;
    const jittered = Math.min(ttl, ttlMs) * (1 - read.jitter * this.clock.random());
    const loadMs = this.clock.monotonic() - startedAt;
    return new CacheRecord(
      value,
      handOut,
      Math.floor(startedAt),
      Math.floor(startedAt + jittered),
      Math.round(loadMs),
      extras,
    );
  }

  private announce(
    { state, id, trace }: Origin,
    outcome: CacheEvents['fill']['outcome'],
    bytes: number,
  ): void {
    if (!channels.fill.hasSubscribers) return;
    const about = this.events.ofEntry(state.policy.entity, id, trace);
    this.events.publish('fill', { ...about, outcome, bytes });
  }
}

function told({ path, found, revivable }: Unstorable, entity: string, revives: boolean): string {
  const what = path === '' ? `it is ${found}` : `it holds ${found} at ${path}`;
  const or =
    revivable && !revives ? `, or give '${entity}' a \`revive\` that makes instances again` : '';
  return `${what}. Fix: return plain data (and Date, Map, Set, bigint, Uint8Array)${or}.`;
}

function failed(error: unknown, entity: string): string {
  return `copying it, or making it again with \`revive\`, threw ${nameOf(error)}. Fix: look at its getters and at \`revive\` of '${entity}'.`;
}
