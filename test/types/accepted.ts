/* Uses that must compile. Nothing here runs. */
import {
  CACHE_MANAGER as NEST_CACHE_MANAGER,
  type Cache as NestCache,
} from '@nestjs/cache-manager';
import { Controller, Get, Inject, Injectable, Module, Param } from '@nestjs/common';
import { ConfigModule, registerAs } from '@nestjs/config';
import {
  bypass,
  CacheConfigurationError,
  Cached,
  CacheModule,
  Clock,
  currentLoad,
  entity,
  EntityCache,
  external,
  InjectCache,
  Invalidates,
  invalidate,
  InvalidationLog,
  onCacheEvent,
  readThrough,
  Singleflight,
  type CacheModuleOptionsFactory,
  type CacheOf,
  type ContractInForce,
  type Defined,
  type Duration,
  type FaultCode,
  type InvalidationOutcome,
  type KeyOf,
  type ValueOf,
  CachedMany,
  staleWhileRevalidate,
  WriteThrough,
  writeThrough,
  acceptStale,
  add,
  CacheFlushTimeoutError,
  CacheInvalidationUnacknowledgedError,
  CacheJournalFullError,
  CacheLockBusyError,
  CacheLockLostError,
  CacheMutationRejectedError,
  CacheStore,
  counter,
  DistributedLock,
  Flushes,
  Ledger,
  ledgerSchema,
  OverrideStrategy,
  remove,
  set,
  SqlLedger,
  WriteBehind,
  writeBehind,
  type AddMutation,
  type BatchPosition,
  type BuriedRow,
  type DeadLetter,
  type EntryName,
  type FillOutcome,
  type FlushBatch,
  type Flushed,
  type FlushEntry,
  type JournalOf,
  type JournalStatus,
  type Lease,
  type LeaseAnswer,
  type CheckOutcome,
  type LeaseTerms,
  type LogAnswer,
  type LogListener,
  type LogMessage,
  type TagsAnswer,
  type Changes,
  type Generations,
  type LogPosition,
  type LedgerVerdict,
  type Lock,
  type LockAttempt,
  type Mutation,
  type Receipt,
  type RemoveMutation,
  type RetryOptions,
  type SetMutation,
  type SqlDialect,
  type StoreDefinition,
  type StoredEntry,
  type StoreParts,
  type StrategyOverride,
  type WriteBehindOptions,
} from 'nestjs-cache-contract';
import {
  CacheRedisError,
  RedisLock,
  redisStore,
  type RedisLockOptions,
  type RedisSource,
  type RedisStoreDefinition,
} from 'nestjs-cache-contract/redis';
import {
  Cache as ManagedCache,
  CACHE_MANAGER,
  CacheManagerModule,
  keyvStore,
  type CacheManagerEvents,
  type CacheManagerModuleAsyncOptions,
  type CacheManagerModuleOptions,
  type CacheManagerOptions,
  type CacheManagerOptionsFactory,
  type KeyvStoreOptions,
  type SharedKeyv,
  type WrapOptions,
} from 'nestjs-cache-contract/cache-manager';
import KeyvRedis, { createKeyv } from '@keyv/redis';
import type { Cache as CacheOfCacheManager } from 'cache-manager';
import { Cluster, Redis } from 'ioredis';
import { Keyv } from 'keyv';

export interface UserProfile {
  id: string;
  name: string;
  updatedAt: Date;
}
export interface Product {
  id: number;
  category: string;
  price: bigint;
}
export class User {
  id: string;
  greet(): string {
    return `Hello ${this.id}`;
  }
}

/** Stands for a database. */
declare function query<T>(): Promise<T>;

// --- contracts

export const Profiles = entity<UserProfile | null>('profile', {
  maxStaleness: '90s',
  read: readThrough({ ttl: '1m', negativeTtl: '5s' }),
  write: invalidate(),
});
export const Products = entity<Product | null, number>('product', {
  maxStaleness: 7_200_000,
  read: readThrough({ ttl: '1.5h', jitter: 0.2, loadTimeout: '500ms', l1: { maxEntries: 100 } }),
  write: external(),
  absentWhen: (error) => error instanceof RangeError,
});
export const Permissions = entity<string[], [tenant: string, user: string]>('permission', {
  maxStaleness: '5s',
  prefer: 'error',
  read: readThrough({ ttl: '3s' }),
  write: invalidate(),
});
export const Layout = entity<{ html: string }>('layout', {
  maxStaleness: 0,
  read: bypass(),
  write: external(),
});
export const Users = entity<User>('user', {
  maxStaleness: '1d',
  read: readThrough({ ttl: '1h' }),
  write: invalidate(),
  revive: (plain) => Object.assign(new User(), plain),
});
/** Built-in types have methods and need no `revive`. */
export const Builtins = entity<Date | Map<string, bigint> | Uint8Array | readonly string[]>('b', {
  maxStaleness: '1d',
  read: readThrough({ ttl: '1h' }),
  write: external(),
});

/** A property that may be left out is no method. */
export const Optionals = entity<{ text: string; note?: string; tags?: string[] } | null>('o', {
  maxStaleness: '1d',
  read: readThrough({ ttl: '1h' }),
  write: external(),
});

export interface Article {
  id: string;
  category: string;
  revision: bigint;
}
/** Everything that writing and versions can say. */
export const Articles = entity<Article | null>('article', {
  maxStaleness: { normal: '1h', incident: '1d' },
  prefer: 'stale',
  read: staleWhileRevalidate({ ttl: '1m', staleFor: '10m', staleIfError: '1h' }),
  write: writeThrough(),
  version: ({ revision }) => revision,
  tags: ({ category }) => [`category:${category}`],
});
export const Visits = entity<{ count: number; at: Date }, [site: string, page: number]>('visit', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '1m', staleIfError: '10m', earlyRefresh: 1 }),
  write: writeThrough(),
  version: ({ at }) => at,
});

export const value: ValueOf<typeof Products> = null;
export const key: KeyOf<typeof Permissions> = ['acme', 'ada'];

/** No duration, but a template type cannot tell: refused when the application starts. */
export const refusedAtStart: Duration[] = ['1e3s', '-5s', NaN];

// --- decorators

export abstract class Base {
  @Cached(Profiles)
  async find(id: string): Promise<UserProfile | null> {
    return { id, name: 'Ada', updatedAt: new Date() };
  }
}

@Injectable()
export class Derived extends Base {
  override async find(id: string): Promise<UserProfile | null> {
    return super.find(id);
  }
}

@Injectable()
export class Shop {
  @Cached(Profiles)
  byArgument(id: string): Promise<UserProfile | null> {
    return query();
  }
  @Cached(Profiles, (id: string) => id)
  byFunction(id: string, verbose: boolean): Promise<UserProfile | null> {
    return query();
  }
  @Cached(Profiles, (_trace: unknown, id: string) => id)
  bySecondArgument(trace: { id: string }, id: string): Promise<UserProfile | null> {
    return query();
  }
  @Cached(Profiles, (id: number) => `n${id}`)
  byConverted(id: number): Promise<UserProfile | null> {
    return query();
  }
  /** `undefined` is never cached, so the entity need not hold it. */
  @Cached(Profiles)
  perhaps(id: string): Promise<UserProfile | null | undefined> {
    return query();
  }
  @Cached(Products)
  product(id: number): Promise<Product | null> {
    return query();
  }
  @Cached(Permissions, (tenant: string, user: string) => [tenant, user])
  permissions(tenant: string, user: string): Promise<string[]> {
    return query();
  }
  @Cached(Layout, () => 'all')
  layout(): Promise<{ html: string }> {
    return query();
  }
  @Cached(Users)
  async user(id: string): Promise<User> {
    const { signal } = currentLoad();
    signal.throwIfAborted();
    return Object.assign(new User(), { id });
  }

  @Invalidates(Profiles)
  remove(id: string): Promise<void> {
    return query();
  }
  @Invalidates(Profiles, (id: string) => id)
  rename(id: string, name: string): Promise<void> {
    return query();
  }
  @Invalidates(Profiles, { keys: (ids: string[]) => ids })
  removeAll(ids: string[]): Promise<number> {
    return query();
  }
  @Invalidates(Permissions, {
    keys: (tenant: string, users: string[]) =>
      users.map((user): [string, string] => [tenant, user]),
  })
  revoke(tenant: string, users: string[]): Promise<void> {
    return query();
  }
  @Invalidates(Profiles, { keysOf: (gone: { id: string }[]) => gone.map(({ id }) => id) })
  prune(before: Date): Promise<{ id: string }[]> {
    return query();
  }
  /** Several on one method. */
  @Invalidates(Layout, { family: true })
  @Invalidates(Profiles, {
    key: (_category: string, by: string) => by,
    when: (changed: boolean) => changed,
  })
  discount(category: string, by: string): Promise<boolean> {
    return query();
  }
}

@Injectable()
export class Desk {
  @CachedMany(Articles)
  many(ids: string[]): Promise<(Article | null)[]> {
    return query();
  }
  @CachedMany(Articles)
  readonlyMany(ids: readonly string[]): Promise<readonly (Article | null)[]> {
    return query();
  }
  /** `undefined` is never cached, so the entity need not hold it. */
  @CachedMany(Articles)
  perhapsMany(ids: string[]): Promise<(Article | null | undefined)[]> {
    return query();
  }
  @CachedMany(Visits)
  visits(pages: [site: string, page: number][]): Promise<{ count: number; at: Date }[]> {
    return query();
  }

  @WriteThrough(Articles)
  publish(id: string): Promise<Article> {
    return query();
  }
  @WriteThrough(Articles, (id: string) => id)
  rename(id: string, category: string): Promise<Article | null> {
    return query();
  }
  @WriteThrough(Visits, (page: number, site: string) => [site, page])
  visit(page: number, site: string): Promise<{ count: number; at: Date }> {
    return query();
  }
  /** The value tells its key, without `null` to look out for. */
  @WriteThrough(Articles, { keyOf: ({ id }) => id })
  create(category: string): Promise<Article> {
    return query();
  }
  @WriteThrough(Articles, (id: string) => id)
  @Invalidates(Profiles, { keysOf: ({ category }: Article) => [category] })
  move(id: string): Promise<Article> {
    return query();
  }
  @Invalidates(Articles, { tags: (category: string) => [`category:${category}`] })
  discount(category: string, percent: number): Promise<void> {
    return query();
  }
  @Invalidates(Articles, { tags: () => ['all'] as const })
  recount(): Promise<void> {
    return query();
  }
}

@Controller('profiles')
export class ProfileController {
  constructor(private readonly shop: Shop) {}

  @Cached(Profiles)
  @Get(':id')
  one(@Param('id') id: string): Promise<UserProfile | null> {
    return this.shop.byArgument(id);
  }
}

// --- writing behind

export const Views = entity<number, number>('view', counter());
/** Sums of a value that may be nothing. */
export const Balances = entity<bigint | null, [account: string, currency: string]>('balance', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s' }),
  write: writeBehind({
    merge: 'sum',
    flushEvery: '250ms',
    maxBatch: 100,
    maxPending: 1_000,
    shards: 4,
    flushTimeout: 2_000,
    retry: { attempts: 3, delay: '100ms', maxDelay: '10s' },
  }),
});
export const Drafts = entity<{ text: string } | null>('draft', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s' }),
  write: writeBehind(),
});
/** A number of which the last one counts. */
export const Scores = entity<number>('score', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s' }),
  write: writeBehind({ merge: 'lastWrite' }),
});
export const behindOptions: WriteBehindOptions = { retry: {} };
export const retryOptions: RetryOptions = { attempts: 1 };

export interface ShopTx {
  run(sql: string, values: readonly unknown[]): Promise<object[]>;
}
@Injectable()
export class ShopLedger extends SqlLedger<ShopTx> {
  constructor(dialect: SqlDialect = 'postgres') {
    super(dialect);
  }
  transaction<T>(work: (tx: ShopTx) => Promise<T>): Promise<T> {
    return query();
  }
  query(tx: ShopTx, sql: string, values: readonly (string | number)[]): Promise<object[]> {
    return tx.run(sql, values);
  }
}
@Injectable()
export class OtherLedger extends Ledger<{ other: true }> {
  transaction<T>(work: (tx: { other: true }) => Promise<T>): Promise<T> {
    return work({ other: true });
  }
  async advance(tx: { other: true }, batch: BatchPosition): Promise<LedgerVerdict> {
    return batch.previousSeq === 0 ? 'advanced' : 'duplicate';
  }
  async bury(tx: { other: true }, rows: readonly BuriedRow[]): Promise<void> {}
  async exhume(tx: { other: true }, row: Pick<BuriedRow, 'id'>): Promise<boolean> {
    return row.id !== '';
  }
  async buried(): Promise<readonly BuriedRow[]> {
    return [];
  }
}
export const schema: readonly string[] = ledgerSchema('sqlite');

@Injectable()
export class Counting {
  @WriteBehind(Views)
  async view(id: number) {
    return add(1);
  }
  @WriteBehind(Views, (id: number) => id)
  async correct(id: number, to: number | undefined): Promise<Mutation<number>> {
    return to === undefined ? add(-1) : set(to);
  }
  @WriteBehind(Balances, (account: string) => [account, 'EUR'])
  async pay(account: string, cents: bigint) {
    return cents === 0n ? remove() : add(cents);
  }
  @WriteBehind(Drafts, (id: string) => id)
  async save(id: string, text: string) {
    return text === '' ? remove() : set({ text });
  }
  /** `set(null)` is another way to say that there is nothing. */
  @WriteBehind(Drafts)
  async clear(id: string) {
    return set(null);
  }
  @WriteBehind(Scores, (id: string) => id)
  @Invalidates(Profiles, {
    key: (id: string) => id,
    when: (said: { op: string }) => said.op === 'set',
  })
  async score(id: string, points: number): Promise<SetMutation<number>> {
    return set(points);
  }

  @Flushes(Views, { ledger: ShopLedger })
  async persistViews({ entries }: FlushBatch<typeof Views>, tx: ShopTx): Promise<void> {
    for (const entry of entries) {
      if (entry.op === 'add') await tx.run('…', [entry.key.toFixed(), entry.by + 1n]);
      else await tx.run('…', [entry.key, entry.value.toFixed()]);
    }
  }
  @Flushes(Balances, { ledger: OtherLedger })
  async persistBalances(
    batch: FlushBatch<typeof Balances>,
    { other }: { other: true },
  ): Promise<Flushed> {
    const [first] = batch.entries;
    if (first?.op === 'remove') return { rejected: [{ key: first.key, reason: 'never' }] };
    if (first?.op === 'set') return void (first.value + 1n);
    return first === undefined
      ? undefined
      : { rejected: [{ key: first.key, reason: `${first.by}` }] };
  }
  /** Who does not need the transaction need not take it. */
  @Flushes(Scores, { ledger: ShopLedger })
  async persistScores({ id, attempt, signal }: FlushBatch<typeof Scores>): Promise<void> {
    signal.throwIfAborted();
    console.log(id.length, attempt.toFixed());
  }
  @Flushes(Drafts)
  async persistDrafts({ entries }: FlushBatch<typeof Drafts>): Promise<Flushed> {
    const texts: string[] = entries.map((entry) => (entry.op === 'set' ? entry.value.text : ''));
    return { rejected: [] };
  }
}

export const told: StrategyOverride = { write: writeThrough() };
@Controller('counters')
@OverrideStrategy({ write: writeThrough() })
export class CounterController {
  constructor(
    @InjectCache(Views) private readonly views: CacheOf<typeof Views>,
    private readonly cache: EntityCache,
  ) {}

  @OverrideStrategy(Views, { read: bypass(), write: writeThrough() })
  @OverrideStrategy(Drafts, { read: acceptStale('10s') })
  async all(): Promise<void> {
    const added: AddMutation<number> = await this.views.mutate(1, add(1));
    const receipt: Receipt | undefined = added.receipt;
    const removed: RemoveMutation = await this.cache.mutate(Drafts, 'a', remove());
    const written: SetMutation<{ text: string }> = await this.cache.mutate(
      Drafts,
      'a',
      set({ text: 'x' }),
    );
    await this.cache.mutate(Balances, ['a', 'EUR'], add(5n));
    const journal: JournalOf<typeof Views> = this.views.journal();
    const { accepted, pending, flushed, duplicates, dead }: JournalStatus = journal.status();
    await journal.flush();
    const letters: DeadLetter<typeof Drafts>[] = await this.cache.journal(Drafts).deadLetters();
    for (const letter of letters) {
      const [key, reason, at]: [string, string, Date] = [
        letter.key,
        letter.reason,
        letter.buriedAt,
      ];
      if (letter.op === 'set') console.log(letter.value.text);
      const again: boolean = await this.cache.journal(Drafts).retry(letter.id);
      const gone: boolean = await this.cache.journal(Drafts).discard(letter.id);
    }
    for (const letter of await journal.deadLetters()) {
      if (letter.op === 'add') console.log(Number(letter.by));
    }
  }
}

export function waitMs(error: unknown): number {
  if (error instanceof CacheJournalFullError) return error.retryAfterMs;
  if (error instanceof CacheFlushTimeoutError) return error.flushTimeoutMs;
  return error instanceof CacheMutationRejectedError ? error.reason.length : 0;
}

// --- calls

@Injectable()
export class Calls {
  constructor(
    @InjectCache(Products) private readonly products: CacheOf<typeof Products>,
    private readonly cache: EntityCache,
  ) {}

  async all(): Promise<void> {
    const profile: UserProfile | null = await this.cache.get(Profiles, 'u1', async () => null);
    const perhaps: UserProfile | null | undefined = await this.cache.get(
      Profiles,
      'u1',
      async ({ signal }) => (signal.aborted ? undefined : null),
    );
    const may: string[] = await this.cache.get(Permissions, ['t', 'u'], async () => ['read']);
    const seen: UserProfile | null | undefined = await this.cache.peek(Profiles, 'u1');
    const outcome: InvalidationOutcome = await this.cache.invalidate(Permissions, ['t', 'u']);
    await this.cache.invalidateFamily(Permissions);
    const four: number = this.cache.context({ bypass: [Profiles, Products] }, () => 4);
    const five: Promise<number> = this.cache.context({ bypass: [] }, async () => 5);
    const inForce: ContractInForce = this.cache.contract(Products);
    const many: (Article | null)[] = await this.cache.getMany(
      Articles,
      ['a', 'b'] as const,
      async (missing: readonly string[], { signal }) => missing.map(() => null),
    );
    const primed: Article | null = await this.cache.prime(Articles, 'a', async () => null);
    const byTag: InvalidationOutcome = await this.cache.invalidateTag('category:tea');
    await this.cache.invalidate(Articles, 'a', { atLeast: 5n });
    await this.cache.invalidate(Visits, ['shop', 1], { atLeast: new Date() });
    const { normal, incident }: { normal: number; incident: number } = inForce.maxStalenessMs;
    currentLoad().ttl('5s');
    currentLoad().tags('one', 'two');
    currentLoad().skip();

    const facade: CacheOf<typeof Permissions> = this.cache.of(Permissions);
    await facade.get(['t', 'u'], async () => []);
    const product: Product | null = await this.products.get(1, async () => null);
    const peeked: Product | null | undefined = await this.products.peek(1);
    await this.products.invalidate(1);
    await this.products.invalidateFamily();
    const some: (Product | null)[] = await this.products.getMany([1, 2], async () => [null, null]);
    const stored: Product | null = await this.products.prime(1, async () => null);
    await this.products.invalidate(1, { atLeast: 2 });
    const same: ContractInForce = this.products.contract();
  }
}

// --- module

const cacheConfig = registerAs('cache', () => ({ namespace: 'shop' }));

@Module({
  imports: [CacheModule.forRoot(), CacheModule.forFeature([Profiles, Products, Permissions])],
  providers: [Shop, Calls],
})
export class Plain {}

@Module({ imports: [CacheModule.forRoot({ namespace: 'shop' })] })
export class Named {}

@Module({ imports: [CacheModule.forRootAsync(cacheConfig.asProvider())] })
export class FromConfig {}

@Module({
  imports: [
    CacheModule.forRootAsync({
      imports: [ConfigModule.forFeature(cacheConfig)],
      inject: [cacheConfig.KEY],
      useFactory: ({ namespace }: { namespace: string }) => ({ namespace }),
    }),
  ],
})
export class FromFactory {}

class Options implements CacheModuleOptionsFactory {
  createCacheOptions() {
    return { namespace: 'shop' };
  }
}

@Module({ imports: [CacheModule.forRootAsync({ useClass: Options })] })
export class FromClass {}

declare class OwnClock extends Clock {
  monotonic(): number;
  after(ms: number, task: () => void): () => void;
  random(): number;
}
declare class OwnSingleflight extends Singleflight {
  fly<T>(
    family: string,
    id: string,
    load: (flight: { readonly poisoned: boolean }) => Promise<T>,
  ): Promise<T>;
  poison(family: string, id?: string): void;
}

@Module({
  imports: [
    CacheModule.forRoot({
      providers: [
        { provide: Clock, useClass: OwnClock },
        { provide: Singleflight, useClass: OwnSingleflight },
      ],
    }),
  ],
})
export class WithOwnParts {}

// --- stores that processes share, and locks

const url = 'redis://localhost:6379';
/** Of the cart the third shape. */
export const Baskets = entity<{ lines: readonly string[] } | null>('basket', {
  maxStaleness: { normal: '1m', incident: '10m' },
  read: readThrough({ ttl: '30s' }),
  write: invalidate(),
  store: 'sessions',
  schema: 3,
  onUnacknowledged: 'fail',
});

export async function grant(cache: EntityCache): Promise<unknown> {
  try {
    return await cache.invalidate(Baskets, 'a');
  } catch (error) {
    if (!(error instanceof CacheInvalidationUnacknowledgedError)) throw error;
    const code: 'CACHE_INVALIDATION_UNACKNOWLEDGED' = error.code;
    const entities: readonly string[] = error.entities;
    return [code, entities, error.result];
  }
}
export const InProcess = entity<string>('in-process', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '30s' }),
  write: invalidate(),
  store: 'process',
});

@Module({ imports: [CacheModule.forRoot({ namespace: 'shop', store: redisStore({ url }) })] })
export class Shared {}

declare const client: Redis;
const source: RedisSource = { client };
declare const cluster: Cluster;
export const sources: readonly RedisSource[] = [
  { url },
  { nodes: [url, 'redis://localhost:6380'] },
  { sentinels: ['redis://localhost:26379'], name: 'mymaster' },
  {
    sentinels: ['rediss://watcher:secret@localhost:26379'],
    name: 'mymaster',
    username: 'shop',
    password: 'secret',
    database: 2,
    tls: true,
  },
  { client },
  { client: cluster },
];
const definition: RedisStoreDefinition = { url, deadline: 50, startWithout: true };
@Module({
  imports: [
    CacheModule.forRoot({
      namespace: 'shop',
      store: redisStore({ url, deadline: '250ms', startWithout: false }),
      stores: { sessions: redisStore(source), others: redisStore(definition) },
    }),
  ],
})
export class SharedTwice {}

@Module({
  imports: [
    CacheModule.forRootAsync({
      useFactory: () => ({ namespace: 'shop', store: redisStore({ url }) }),
    }),
  ],
})
export class SharedByFactory {}

export class OwnLog extends InvalidationLog {
  async append(
    { entries, tags }: Changes,
    writer: string,
    keepTagsMs: number,
  ): Promise<LogPosition> {
    const names: readonly EntryName[] = entries;
    return { epoch: writer, seq: names.length + tags.length + keepTagsMs };
  }
  async poll(heard: LogPosition | undefined): Promise<LogAnswer> {
    const end: LogPosition = { epoch: 'a', seq: 1 };
    const entries = [{ entity: 'user', id: 'u1' }];
    const message: LogMessage = { ...end, writer: 'you', entries, tags: ['t:tea'] };
    return { end, missed: heard === undefined ? undefined : [message] };
  }
  async generations(tags: readonly string[], keepTagsMs: number): Promise<TagsAnswer> {
    return { end: { epoch: 'a', seq: keepTagsMs }, generations: tags.map(() => 1) };
  }
  listen(listener: LogListener): void {
    listener.onListening();
    listener.onMessage({ epoch: 'a', seq: 1, writer: 'you', entries: [], tags: [] });
  }
}
export const loadedUnder: Generations = { epoch: 'a', family: 1, tags: [['tea', 2]] };
export class OwnStore extends CacheStore {
  override readonly log = new OwnLog();
  override async check(): Promise<CheckOutcome> {
    if (this.now() > 0) return { mayLose: 'it forgets. Fix: remind it.' };
    return { outOfReach: 'it sleeps. Fix: wake it.' };
  }
  now(): number {
    return 0;
  }
  async read({ entity, id }: EntryName): Promise<StoredEntry | undefined> {
    const stored = await query<StoredEntry | undefined>();
    return stored && { ...stored, isDoubtful: true };
  }
  async lease(entry: EntryName, { leaseMs }: LeaseTerms): Promise<LeaseAnswer> {
    const lease: Lease = { entry, token: 'a', grantedAt: leaseMs };
    return { outcome: 'granted', lease, stale: undefined };
  }
  async fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    return stored.payload === undefined ? 'voided' : 'stored';
  }
  async fail(lease: Lease, coolDownMs: number): Promise<void> {}
  async claim(entry: EntryName, leaseMs: number): Promise<Lease> {
    return { entry, token: 'a', grantedAt: 0 };
  }
  async invalidate(entry: EntryName): Promise<void> {}
  async close(): Promise<void> {}
}
export const ownStore: StoreDefinition = {
  deadlineMs: 100,
  open: ({ namespace, clock, onRefused }: StoreParts) => {
    console.log(namespace, clock.monotonic());
    onRefused(new Error('it is full. Fix: empty it.'));
    return new OwnStore();
  },
};
@Module({ imports: [CacheModule.forRoot({ namespace: 'shop', store: ownStore })] })
export class WithOwnStore {}

export const ownStoreByLock: StoreDefinition = {
  deadlineMs: 100,
  leases: 'lock',
  open: ({ lock }: StoreParts) => {
    void lock.acquire('entry', { patience: 0 });
    return new OwnStore();
  },
};

const keyvOptions: KeyvStoreOptions = { deadline: '250ms' };
const ofTexts: SharedKeyv = new Keyv<string>({ namespace: 'mine', ttl: 1_000 });
@Module({
  imports: [
    CacheModule.forRoot({
      namespace: 'shop',
      store: keyvStore(new Keyv({ store: new KeyvRedis(url) })),
      stores: {
        small: keyvStore(ofTexts, keyvOptions),
        remote: keyvStore(createKeyv(url), { deadline: 50 }),
        memory: keyvStore(new Keyv(new Map())),
      },
    }),
  ],
})
export class InKeyv {}

const lockOptions: RedisLockOptions = { url, namespace: 'shop' };
@Module({
  imports: [
    CacheModule.forRoot({
      providers: [
        {
          provide: DistributedLock,
          useFactory: (clock: Clock) => new RedisLock(lockOptions, clock),
          inject: [Clock],
        },
      ],
    }),
  ],
})
export class WithLocks {
  constructor(private readonly locks: DistributedLock) {}

  async report(): Promise<number> {
    const lock: Lock | undefined = await this.locks.acquire('report', { patience: 0 });
    const fence: bigint | undefined = lock?.fence;
    lock?.signal.throwIfAborted();
    await lock?.release();
    return this.locks.run('report', async ({ fence, signal }) => Number(fence), {
      ttl: '10s',
      patience: '1s',
      signal: AbortSignal.timeout(5_000),
    });
  }
}

export abstract class OwnLock extends DistributedLock {
  protected override async attempt(): Promise<LockAttempt> {
    return { trouble: { problem: 'it is away', fix: 'wait.' } };
  }
}

export function codeOf(error: unknown): string {
  if (error instanceof CacheLockBusyError) return `${error.code} ${error.patienceMs}`;
  if (error instanceof CacheLockLostError) return `${error.code} ${error.ttlMs}`;
  return error instanceof CacheRedisError ? error.code : '';
}

// --- events and errors

export const stop: () => void = onCacheEvent('load', ({ entity, outcome, loadMs }) => {
  if (outcome === 'failed') console.warn(`${entity} failed after ${loadMs} ms`);
});

onCacheEvent('acknowledge', ({ entity, entries, lapsed, pendingMs }) => {
  console.info(`${entity}: ${entries + lapsed} after ${pendingMs} ms`);
});

export function faultsOf(error: unknown): FaultCode[] {
  return error instanceof CacheConfigurationError ? error.faults.map(({ code }) => code) : [];
}

// --- for code that injects cache-manager

export const Legacy = entity<Defined>('legacy', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m' }),
  write: writeThrough(),
});

/** As it was written for cache-manager: token and type of there. */
@Injectable()
export class WrittenBefore {
  constructor(
    @Inject(NEST_CACHE_MANAGER) private readonly cache: CacheOfCacheManager,
    @Inject(CACHE_MANAGER) private readonly same: NestCache,
    private readonly ours: ManagedCache,
  ) {}

  async read(): Promise<string[]> {
    const found = await this.cache.get<string>('key');
    const [first] = await this.same.mget<string>(['key']);
    await this.ours.set('key', 'value', 5_000);
    const raw = await this.ours.wrap('key', async () => 'x', { ttl: 1, raw: true });
    const listener = (about: { key: string; error?: unknown }) => void about.key;
    this.ours.on('set', listener).removeAllListeners();
    this.ours.off('set', listener);
    const length: string = await this.ours.wrap(
      'key',
      () => 'x',
      (value) => value.length,
      (value: string) => value.length,
    );
    return [found ?? '', first ?? '', raw.value, length];
  }
}
declare const managed: ManagedCache;
export const asTheirs: CacheOfCacheManager = managed;
export const asNests: NestCache = managed;
export const wrapOptions: WrapOptions<string> = { ttl: (value) => value.length };
export const heard: CacheManagerEvents['set'] = ({ key, value }) => void [key, value];

export class CacheManagerConfig implements CacheManagerOptionsFactory {
  createCacheOptions = (): CacheManagerOptions => ({ ttl: 5_000, refreshThreshold: '3s' });
}
export const asyncOptions: CacheManagerModuleAsyncOptions = {
  entity: Legacy,
  useClass: CacheManagerConfig,
};
export const managerOptions: CacheManagerModuleOptions = { entity: Legacy, ttl: '5s' };

@Module({
  imports: [
    CacheManagerModule.register({ entity: Legacy }),
    CacheManagerModule.register({ ...managerOptions, isGlobal: true }),
    CacheManagerModule.registerAsync(asyncOptions),
    CacheManagerModule.registerAsync({
      entity: Legacy,
      isGlobal: true,
      inject: [OwnClock],
      useFactory: async () => ({ ttl: 5_000 }),
    }),
  ],
})
export class WithCacheManager {}
