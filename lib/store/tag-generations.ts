import type { Clock } from '../time/clock.js';
import type { Generations } from './cache-store.js';
import type { GuardedLog } from './guarded-log.js';
import type { LogPosition, TagsAnswer } from './invalidation-log.js';
import { nameOfFamily, nameOfTag } from './tag-names.js';

/** Those that were learnt longest ago are asked for again. */
const MOST_KNOWN = 50_000;
/** More of them in one question would keep others waiting. */
const MOST_ASKED = 500;
/** What is known is believed for so long after nothing was missing. */
const MOST_LEASE_MS = 5_000;

/** What is known of something stored: `unknown`, it may be current. */
export type Verdict = 'current' | 'old' | 'unknown';

interface Known {
  readonly generation: number;
  /** As long as the log surely remembers it, and what carries it is kept by who stores it now. */
  readonly until: number;
}

interface Question {
  readonly names: Set<string>;
  readonly answer: Promise<{ end: LogPosition; generations: ReadonlyMap<string, number> }>;
}

/**
 * When each tag of a store was invalidated last, as far as this process has heard or asked. What is stored is current if
 * its tags were invalidated as often then as they are now: so nothing is lost with a tag that the log has forgotten, and
 * no clock is compared with another.
 */
export class TagGenerations {
  /** How far the log was heard. */
  private position: LogPosition | undefined;
  /** In the order in which they were learnt. */
  private readonly known = new Map<string, Known>();
  /** When it was last known that nothing was missed. */
  private heardAt = -Infinity;
  /** How often something was missed or forgotten: what was asked before may be older than that. */
  private gaps = 0;
  /** The log has not answered for long. */
  private isSilent = false;
  /** The log goes on without what was heard, and this process has yet to hear where. */
  private isLost = false;
  private lostAt = -Infinity;
  /** Where the log ended when this process was told so last, in the epoch that was heard: further than it was heard. */
  private stood = 0;
  /** Those that the log does not know to be invalidated yet. */
  private readonly untold = new Set<string>();
  private question: Question | undefined;

  constructor(
    private readonly log: GuardedLog,
    private readonly clock: Clock,
    /** How long what carries a tag may be kept. */
    private readonly keepMs: () => number,
  ) {}

  /** Everything until there is heard; nothing is missing between that and what was heard before. */
  hear(position: LogPosition, tags: readonly string[]): void {
    this.position = position;
    for (const name of tags) this.raise(name, position.seq);
  }

  /** Nothing that was heard before is known to be complete. */
  begin(position: LogPosition): void {
    this.position = position;
    this.stood = position.seq;
    this.known.clear();
    this.heardAt = -Infinity;
    this.gaps++;
    this.isLost = false;
    this.isSilent = false;
  }

  /** It does not say any more what others change. */
  unheard(): void {
    this.isSilent = true;
  }

  /** When asked at that time, or later, nothing was missing. */
  renew(askedAt: number): void {
    this.heardAt = Math.max(this.heardAt, askedAt);
    this.isSilent = false;
    // What was lost was an epoch before this one, of which the answer came late.
    if (askedAt > this.lostAt) this.isLost = false;
  }

  /** This process has invalidated them, and the log has said where that stands. */
  told(tags: readonly string[], { epoch, seq }: LogPosition): void {
    if (epoch !== this.position?.epoch) {
      this.isLost = true;
      this.lostAt = this.clock.monotonic();
    } else this.stood = Math.max(this.stood, seq);
    for (const name of tags) {
      if (!this.isLost) this.raise(name, seq);
      this.untold.delete(name);
    }
  }

  /** This process has invalidated them, and could not say so: what carries them is not current, whatever the log says. */
  notTold(name: string): void {
    this.untold.add(name);
  }

  /** It will not be said: who calls sees to it that nothing is used that is there now. */
  lost(name: string): void {
    this.untold.delete(name);
  }

  /** Where the log stands, or stood not long ago: what was invalidated until then is known to whoever loads now. */
  stand(): LogPosition | Promise<LogPosition | undefined> {
    if (this.position !== undefined) {
      const { epoch, seq } = this.position;
      return { epoch, seq: Math.max(seq, this.stood) };
    }
    return this.ask([]).then(
      ({ end }) => end,
      () => undefined,
    );
  }

  /**
   * Whether nothing of it was invalidated since it was loaded. `leaseMs`: how long what was heard is good enough. Unknown
   * where the log has not answered for long: it must not take away a store that does.
   *
   * @throws whatever the log does, where it has to be asked
   */
  judge(
    generations: Generations | undefined,
    entity: string,
    leaseMs: number,
  ): Verdict | Promise<Verdict> {
    if (generations === undefined) return 'old';
    const names = namesOf(entity, generations);
    if (this.untold.size > 0 && names.some(([name]) => this.untold.has(name))) return 'old';
    const until = this.heardAt + Math.min(leaseMs, MOST_LEASE_MS);
    const isHeard = this.isOf(generations.epoch) && this.clock.monotonic() < until;
    if (!isHeard) return this.judgeByLog(generations, names);
    let isBehind = false;
    for (const [name, generation] of names) {
      const known = this.latest(name);
      if (known !== undefined && known > generation) return 'old';
      isBehind ||= known !== generation;
    }
    return isBehind ? this.judgeByLog(generations, names) : 'current';
  }

  /**
   * What is to be stored with a value that was loaded when the log stood at `since`; nothing if one of its tags was
   * invalidated after that, or may have been.
   *
   * @throws whatever the log does, where it has to be asked
   */
  of(
    entity: string,
    tags: readonly string[],
    since: LogPosition,
  ): Generations | undefined | Promise<Generations | undefined> {
    const names = [nameOfFamily(entity), ...tags.map(nameOfTag)];
    const known = names.map((name) => this.latest(name));
    if (this.isOf(since.epoch) && known.every((one) => one !== undefined)) {
      return generationsOf(tags, since, known);
    }
    return this.ask(names).then(({ end, generations }) =>
      end.epoch === since.epoch ? generationsOf(tags, since, generations) : undefined,
    );
  }

  private async judgeByLog(
    { epoch }: Generations,
    names: readonly (readonly [string, number])[],
  ): Promise<Verdict> {
    const answer = await this.ask(names.map(([name]) => name)).catch((error: unknown) => {
      if (!this.isSilent) throw error;
      return undefined;
    });
    if (answer !== undefined && answer.end.epoch !== epoch) return 'old';
    const isCurrent = names.every(([name, generation], at) => {
      if (this.untold.has(name)) return false;
      const known = Math.max(answer?.generations[at] ?? generation, this.raised(name, epoch));
      return known === generation;
    });
    return !isCurrent ? 'old' : answer === undefined ? 'unknown' : 'current';
  }

  /** What was heard meanwhile, of the same epoch. */
  private raised(name: string, epoch: string): number {
    return this.isOf(epoch) ? (this.known.get(name)?.generation ?? 0) : 0;
  }

  /** Asked for once more before the log forgets it: what was stored since would be worth nothing then. */
  private latest(name: string): number | undefined {
    const known = this.known.get(name);
    return known && this.clock.monotonic() < known.until ? known.generation : undefined;
  }

  private isOf(epoch: string): boolean {
    return this.position?.epoch === epoch && !this.isLost;
  }

  /** All that are needed in one turn of the event loop are asked for together, after it: nobody gets an older answer. */
  private async ask(names: readonly string[]): Promise<TagsAnswer> {
    if (this.question === undefined || this.question.names.size >= MOST_ASKED) {
      this.question = this.begins();
    }
    const { names: asked, answer } = this.question;
    for (const name of names) asked.add(name);
    const { end, generations } = await answer;
    return { end, generations: names.map((name) => generations.get(name)!) };
  }

  private begins(): Question {
    const names = new Set<string>();
    const answer = new Promise<void>((resolve) => setImmediate(resolve)).then(async () => {
      if (this.question?.names === names) this.question = undefined;
      const { gaps } = this;
      const all = [...names];
      const { end, generations } = await this.log.generations(all, 2 * this.keepMs());
      const found = new Map(all.map((name, at) => [name, generations[at]!]));
      if (gaps === this.gaps && this.isOf(end.epoch)) {
        this.stood = Math.max(this.stood, end.seq);
        for (const [name, generation] of found) this.raise(name, generation);
      }
      return { end, generations: found };
    });
    return { names, answer };
  }

  /** Answers and messages come in any order: the highest one is the latest. */
  private raise(name: string, generation: number): void {
    const known = this.known.get(name)?.generation ?? -1;
    this.known.delete(name);
    if (this.known.size >= MOST_KNOWN) {
      this.known.delete(this.known.keys().next().value!);
      this.gaps++;
    }
    this.known.set(name, {
      generation: Math.max(known, generation),
      until: this.clock.monotonic() + this.keepMs(),
    });
  }
}

function namesOf(
  entity: string,
  { family, tags }: Generations,
): (readonly [name: string, generation: number])[] {
  return [
    [nameOfFamily(entity), family],
    ...tags.map(([tag, generation]) => [nameOfTag(tag), generation] as const),
  ];
}

function generationsOf(
  tags: readonly string[],
  { epoch, seq }: LogPosition,
  [family, ...others]: readonly number[],
): Generations | undefined {
  if (family! > seq || others.some((generation) => generation > seq)) return undefined;
  return { epoch, family: family!, tags: tags.map((tag, at) => [tag, others[at]!] as const) };
}
