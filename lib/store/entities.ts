import { bootFaults, type Surroundings } from '../contract/boot-rules.js';
import { isEntity, type AnyEntity } from '../contract/entity.js';
import type { Overrides } from '../contract/overrides.js';
import { resolvePolicy, type OriginPolicy, type Policy } from '../contract/policy.js';
import { OriginCap, type Timing } from '../coordination/origin-cap.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { CacheConfigurationError, type Fault } from '../errors/configuration.error.js';
import { show } from '../errors/wording.js';
import { EntityState } from './entity-state.js';

/** The entities of one application, each with its state. */
export class Entities {
  private readonly places = new Map<AnyEntity, Set<string>>();
  private readonly states = new Map<AnyEntity, EntityState>();
  private readonly caps = new Map<string, { limit: OriginPolicy; cap: OriginCap }>();
  private closed = false;

  constructor(
    private readonly surroundings: Surroundings,
    private readonly onEvict: (entity: string, id: string) => void,
    private readonly timing: Timing,
    private readonly overrides: Overrides,
    /** Gives a state what only some entities have. */
    private readonly complete: (state: EntityState) => void,
  ) {}

  /** Makes an entity known, so that the boot report covers it. `place` is where it is used. */
  register(entity: AnyEntity, place?: string): void {
    let places = this.places.get(entity);
    if (places === undefined) this.places.set(entity, (places = new Set()));
    if (place !== undefined) places.add(place);
  }

  /**
   * The state of an entity.
   *
   * Made at the first call, so that a test which never starts the application runs on checked contracts as well.
   *
   * @throws {CacheConfigurationError} if its contract is at fault and nobody asked at boot
   * @throws {CacheUsageError} CACHE_ENTITY_EXPECTED
   */
  stateOf(entity: AnyEntity): EntityState {
    return this.states.get(entity) ?? this.open(entity);
  }

  /** Checks the registered entities: what is wrong with them; those with which nothing is are open from then on. */
  check(): Fault[] {
    const entities = [...this.places.keys()];
    const names = entities.filter(isEntity).map(({ name }) => name);
    const faults = entities.flatMap((entity) => {
      const checked = this.checked(entity);
      if (!(checked instanceof EntityState)) return checked;
      this.states.set(entity, checked);
      return [];
    });
    return [...faults, ...this.overrides.faults(names)];
  }

  /** Where an entity is used, for a report. */
  placeOf(name: string): string {
    const entity = [...this.states.keys()].find((known) => known.name === name);
    return entity === undefined ? `entity '${name}'` : this.placesOf(entity);
  }

  /** The policies in force. */
  policies(): Policy[] {
    return this.all().map(({ policy }) => policy);
  }

  /** The states there are. */
  all(): EntityState[] {
    return [...this.states.values()];
  }

  /** From now on every call runs its method; returns the states there are. */
  close(): EntityState[] {
    this.closed = true;
    const states = this.all();
    for (const state of states) state.close();
    return states;
  }

  private open(entity: AnyEntity): EntityState {
    const known = this.places.has(entity);
    this.register(entity);
    const checked = this.checked(entity);
    if (checked instanceof EntityState) {
      this.states.set(entity, checked);
      return checked;
    }
    // A bad call must not speak against the entity whose name it took.
    if (!known) this.places.delete(entity);
    throw isEntity(entity)
      ? new CacheConfigurationError(checked, 'at the first use')
      : notAnEntity(entity);
  }

  private checked(entity: AnyEntity): EntityState | Fault[] {
    const open = this.states.get(entity);
    if (open !== undefined) return open;
    if (!isEntity(entity)) {
      const { message } = notAnEntity(entity);
      const [problem, fix] = message.split('. Fix: ') as [string, string];
      return [
        { code: 'CACHE_ENTITY_EXPECTED', problem: `${problem}.`, at: this.placesOf(entity), fix },
      ];
    }
    const outside = this.overrides.of(String(entity.name));
    const at = outside.placeOf(this.placesOf(entity));
    const { stores, byLock } = this.surroundings;
    const policy = resolvePolicy(entity, at, outside, stores, byLock);
    const taken = this.nameTaken(entity);
    if (Array.isArray(policy)) return [...(policy as Fault[]), ...taken];
    const faults = [
      ...bootFaults(policy as Policy, at, this.surroundings),
      ...this.originTaken(policy as Policy, at),
      ...taken,
    ];
    if (faults.length > 0) return faults;
    const cap = this.capOf(policy as Policy);
    const state = new EntityState(policy as Policy, (id) => this.onEvict(entity.name, id), cap);
    this.complete(state);
    if (this.closed) state.close();
    return state;
  }

  private capOf({ origin }: Policy): OriginCap | undefined {
    if (origin === undefined) return undefined;
    const known = this.caps.get(origin.name);
    if (known !== undefined) return known.cap;
    const cap = new OriginCap(origin, this.timing);
    this.caps.set(origin.name, { limit: origin, cap });
    return cap;
  }

  /** Two limits for one origin: whichever entity came first would decide. */
  private originTaken({ entity, origin }: Policy, at: string): Fault[] {
    const known = origin && this.caps.get(origin.name)?.limit;
    if (known === undefined || origin === undefined) return [];
    if (known.maxConcurrent === origin.maxConcurrent && known.maxQueued === origin.maxQueued)
      return [];
    return [
      {
        code: 'CACHE_ORIGIN_CONTRADICTED',
        problem: `entity '${entity}' names the origin '${origin.name}' with other limits than another entity does.`,
        at,
        fix: 'declare origin() once, and name this constant in every contract.',
      },
    ];
  }

  /** Told once, with the last of them, for all. */
  private nameTaken(entity: AnyEntity): Fault[] {
    const namesakes = [...this.places.keys()].filter(
      (other) => isEntity(other) && other.name === entity.name,
    );
    if (namesakes.length < 2 || namesakes.at(-1) !== entity) return [];
    return [
      {
        code: 'CACHE_ENTITY_NAME_TAKEN',
        problem: `${namesakes.length} entities are named '${entity.name}'.`,
        at: namesakes.map((namesake) => this.placesOf(namesake)).join(' and '),
        why: 'the name is what keeps the entries of one entity apart from those of another.',
        fix: 'give each entity() a name of its own; if it is meant to be the same entity, import one constant everywhere.',
      },
    ];
  }

  private placesOf(entity: AnyEntity): string {
    const places = [...(this.places.get(entity) ?? [])].sort();
    if (!isEntity(entity)) return places.join(', ');
    return `entity '${String(entity.name)}'${places.length > 0 ? `, used by ${places.join(', ')}` : ''}`;
  }
}

function notAnEntity(candidate: unknown): CacheUsageError {
  return new CacheUsageError(
    'CACHE_ENTITY_EXPECTED',
    `expected an entity made by entity(), got ${show(candidate)}`,
    'pass the constant your contract file exports; if it is undefined here, two files import each other: move the contract into a file of its own.',
  );
}
