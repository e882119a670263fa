/* Uses that must not compile, each with what is wrong with it. Nothing here runs. */
import type { Observable } from 'rxjs';
import {
  Cached,
  CacheModule,
  entity,
  external,
  InjectCache,
  Invalidates,
  invalidate,
  type CacheInvalidationUnacknowledgedError,
  onCacheEvent,
  readThrough,
  type CacheOf,
  type Defined,
  type Duration,
  type EntityCache,
  CachedMany,
  staleWhileRevalidate,
  WriteThrough,
  writeThrough,
  currentLoad,
  add,
  Flushes,
  ledgerSchema,
  OverrideStrategy,
  remove,
  set,
  WriteBehind,
  writeBehind,
  type DeadLetter,
  type FlushBatch,
  type Flushed,
  type Mutation,
  CacheStore,
  type Lock,
  type DistributedLock,
  type StoreDefinition,
  type StrategyOverride,
} from 'nestjs-cache-contract';
import { CacheManagerModule, keyvStore, type Cache } from 'nestjs-cache-contract/cache-manager';
import { RedisLock, redisStore } from 'nestjs-cache-contract/redis';
import KeyvRedis from '@keyv/redis';
import type { Cluster, Redis } from 'ioredis';
import { Keyv } from 'keyv';
import {
  Articles,
  Balances,
  Drafts,
  Permissions,
  Products,
  Profiles,
  Scores,
  ShopLedger,
  OtherLedger,
  Views,
  Visits,
  OwnStore,
  type Article,
  type Product,
  type ShopTx,
  type User,
  type UserProfile,
} from './accepted.js';

/** Stands for a database. */
declare function query<T>(): Promise<T>;
declare const cache: EntityCache;
declare const products: CacheOf<typeof Products>;

const read = readThrough({ ttl: '1s' });
const write = invalidate();
const terms = { read, write };
const stale = staleWhileRevalidate({ ttl: '1s', staleFor: '1m' });
const staleIfError = readThrough({ ttl: '1s', staleIfError: '1m' });

// --- contracts

// @ts-expect-error an option that does not exist
entity<UserProfile>('p', { maxStaleness: '5s', read, write, maxStalenes: '5s' });
// @ts-expect-error a malformed duration
entity<UserProfile>('p', { maxStaleness: '90 sec', read, write });
// @ts-expect-error no maxStaleness
entity<UserProfile>('p', { read, write });
// @ts-expect-error no read strategy
entity<UserProfile>('p', { maxStaleness: '5s', write });
// @ts-expect-error no write strategy
entity<UserProfile>('p', { maxStaleness: '5s', read });
// @ts-expect-error undefined as a value, which is never cached
entity<UserProfile | undefined>('p', { maxStaleness: '5s', read, write });
// @ts-expect-error class instances without revive
entity<User>('u', { maxStaleness: '5s', read, write });
// @ts-expect-error an object as key
entity<UserProfile, { id: string }>('p', { maxStaleness: '5s', read, write });
// @ts-expect-error an empty tuple as key
entity<UserProfile, []>('p', { maxStaleness: '5s', read, write });
// @ts-expect-error a read strategy where a write strategy belongs
entity<UserProfile>('p', { maxStaleness: '5s', read, write: read });
// @ts-expect-error stale answers where an error is preferred
entity<string>('p', { maxStaleness: '1h', read: stale, write, prefer: 'error' });
// @ts-expect-error a stale answer instead of an error where an error is preferred
entity<string>('p', { maxStaleness: '1h', read: staleIfError, write, prefer: 'error' });
// @ts-expect-error a preference that does not exist
entity<string>('p', { ...terms, maxStaleness: '1h', prefer: 'fresh' });
// @ts-expect-error only one of the two bounds
entity<string>('p', { ...terms, maxStaleness: { normal: '1h' } });
// @ts-expect-error a bound that does not exist
entity<string>('p', { ...terms, maxStaleness: { normal: 1, incident: 2, disaster: 3 } });
// @ts-expect-error a malformed bound
entity<string>('p', { ...terms, maxStaleness: { normal: '1h', incident: 'long' } });
// @ts-expect-error a version of text
entity<UserProfile>('p', { ...terms, maxStaleness: '1h', version: ({ name }) => name });
// @ts-expect-error tags that are one text
entity<UserProfile>('p', { ...terms, maxStaleness: '1h', tags: ({ name }) => name });
// @ts-expect-error stale-while-revalidate without staleFor
staleWhileRevalidate({ ttl: '1m' });
// @ts-expect-error early refresh where something stale is served anyway
staleWhileRevalidate({ ttl: '1m', staleFor: '1m', earlyRefresh: 1 });
// @ts-expect-error options of write-through
writeThrough({ ttl: '1s' });
// @ts-expect-error no ttl
readThrough({});
// @ts-expect-error staleFor, which nothing keeps yet
readThrough({ ttl: '1m', staleFor: '1m' });
// @ts-expect-error an option of the local tier that does not exist
readThrough({ ttl: '1m', l1: { maxSize: 5 } });
// @ts-expect-error hold, which nothing keeps yet
invalidate({ hold: true });
// @ts-expect-error options of external
external({ ttl: '1s' });
// @ts-expect-error a compound duration
export const compound: Duration = '1h30m';
// @ts-expect-error a bare number as text
export const bare: Duration = '250';

export class Methods {
  // --- what @Cached refuses

  // @ts-expect-error a method that does not return a promise
  @Cached(Profiles)
  sync(id: string): UserProfile | null {
    return null;
  }
  // @ts-expect-error a method that returns an Observable
  @Cached(Profiles)
  observable(id: string): Observable<UserProfile | null> {
    return null!;
  }
  // @ts-expect-error an async generator
  @Cached(Profiles)
  async *generator(id: string): AsyncGenerator<UserProfile> {}
  // @ts-expect-error another value than the entity holds
  @Cached(Profiles)
  otherValue(id: string): Promise<Product | null> {
    return query();
  }
  // @ts-expect-error a return type that excludes null, which would come from the cache
  @Cached(Profiles)
  lessThanHeld(id: string): Promise<UserProfile> {
    return query();
  }
  // @ts-expect-error a number as key of an entity with text keys
  @Cached(Profiles)
  otherKey(id: number): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error two arguments and no key function
  @Cached(Profiles)
  two(id: string, verbose: boolean): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error an optional second argument and no key function
  @Cached(Profiles)
  optional(id: string, verbose?: boolean): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error a second argument with a default, which method.length does not count
  @Cached(Profiles)
  defaulted(id: string, options = {}): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error rest arguments
  @Cached(Profiles)
  rest(...ids: string[]): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error no argument
  @Cached(Profiles)
  none(): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error a tuple key without a key function
  @Cached(Permissions)
  tuple(key: [string, string]): Promise<string[]> {
    return query();
  }
  // @ts-expect-error a key function of other arguments
  @Cached(Profiles, (id: number) => String(id))
  otherArguments(id: string): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error a key function of more arguments
  @Cached(Profiles, (id: string, more: string) => id + more)
  moreArguments(id: string): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error a key function that makes another key
  @Cached(Profiles, (id: string) => [id, 1])
  otherMadeKey(id: string): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error a key function that makes a shorter tuple
  @Cached(Permissions, (tenant: string) => [tenant])
  shorter(tenant: string): Promise<string[]> {
    return query();
  }
  // @ts-expect-error a key function without annotation
  @Cached(Profiles, (id) => id)
  unannotated(id: string): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error a key that may be undefined
  @Cached(Profiles, (id?: string) => id)
  perhapsNoKey(id?: string): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error a static method
  @Cached(Profiles)
  static ofClass(id: string): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error a getter
  @Cached(Profiles)
  get accessor(): Promise<UserProfile | null> {
    return query();
  }
  // @ts-expect-error a property
  @Cached(Profiles)
  property = (id: string): Promise<UserProfile | null> => query();

  // --- what @Invalidates refuses

  // @ts-expect-error a write that does not return a promise
  @Invalidates(Profiles)
  syncWrite(id: string): void {}
  // @ts-expect-error a write of two arguments and no key function
  @Invalidates(Profiles)
  twoWrite(id: string, name: string): Promise<void> {
    return query();
  }
  // @ts-expect-error keys where one key belongs
  @Invalidates(Profiles, { key: (ids: string[]) => ids })
  manyAsOne(ids: string[]): Promise<void> {
    return query();
  }
  // @ts-expect-error keysOf of another result
  @Invalidates(Profiles, { keysOf: (made: { id: string }[]) => made.map(({ id }) => id) })
  otherResult(id: string): Promise<number> {
    return query();
  }
  // @ts-expect-error when of another result
  @Invalidates(Profiles, { key: (id: string) => id, when: (changed: boolean) => changed })
  otherWhen(id: string): Promise<number> {
    return query();
  }
  // @ts-expect-error a target that does not exist
  @Invalidates(Profiles, { family: false })
  noTarget(id: string): Promise<void> {
    return query();
  }
  // @ts-expect-error a key function of other arguments for a write
  @Invalidates(Profiles, (id: number) => String(id))
  otherArgumentsWrite(id: string): Promise<void> {
    return query();
  }
  // @ts-expect-error tags that are one text
  @Invalidates(Articles, { tags: (category: string) => category })
  oneTag(category: string): Promise<void> {
    return query();
  }
  // @ts-expect-error tags of other arguments
  @Invalidates(Articles, { tags: (count: number) => [`n${count}`] })
  otherTags(category: string): Promise<void> {
    return query();
  }
  // @ts-expect-error tags and a key at once
  @Invalidates(Articles, { tags: (id: string) => [id], key: (id: string) => id })
  tagsAndKey(id: string): Promise<void> {
    return query();
  }
  // @ts-expect-error tags with `when`
  @Invalidates(Articles, { tags: (id: string) => [id], when: () => true })
  tagsWhen(id: string): Promise<void> {
    return query();
  }

  // --- what @CachedMany refuses

  // @ts-expect-error one key where many belong
  @CachedMany(Articles)
  single(id: string): Promise<(Article | null)[]> {
    return query();
  }
  // @ts-expect-error one value where many belong
  @CachedMany(Articles)
  singleValue(ids: string[]): Promise<Article | null> {
    return query();
  }
  // @ts-expect-error keys of another type
  @CachedMany(Articles)
  otherKeys(ids: number[]): Promise<(Article | null)[]> {
    return query();
  }
  // @ts-expect-error values of another type
  @CachedMany(Articles)
  otherValues(ids: string[]): Promise<(Product | null)[]> {
    return query();
  }
  // @ts-expect-error values without the null that would come from the cache
  @CachedMany(Articles)
  fewerValues(ids: string[]): Promise<Article[]> {
    return query();
  }
  // @ts-expect-error more than the keys
  @CachedMany(Articles)
  moreThanKeys(ids: string[], verbose: boolean): Promise<(Article | null)[]> {
    return query();
  }
  // @ts-expect-error keys as rest arguments
  @CachedMany(Articles)
  restKeys(...ids: string[]): Promise<(Article | null)[]> {
    return query();
  }
  // @ts-expect-error a map of values
  @CachedMany(Articles)
  map(ids: string[]): Promise<Map<string, Article | null>> {
    return query();
  }
  // @ts-expect-error many without a promise
  @CachedMany(Articles)
  syncMany(ids: string[]): (Article | null)[] {
    return [];
  }

  // --- what @WriteThrough refuses

  // @ts-expect-error a write-through that resolves to nothing
  @WriteThrough(Articles)
  nothing(id: string): Promise<void> {
    return query();
  }
  // @ts-expect-error a write-through that may resolve to undefined
  @WriteThrough(Articles)
  perhaps(id: string): Promise<Article | undefined> {
    return query();
  }
  // @ts-expect-error a write-through of another value
  @WriteThrough(Articles, (id: string) => id)
  otherWritten(id: string): Promise<Product> {
    return query();
  }
  // @ts-expect-error a write-through without a promise
  @WriteThrough(Articles)
  syncWritten(id: string): Article | null {
    return null;
  }
  // @ts-expect-error a write-through of two arguments and no key function
  @WriteThrough(Articles)
  twoWritten(id: string, category: string): Promise<Article> {
    return query();
  }
  // @ts-expect-error a write-through of another key
  @WriteThrough(Articles)
  otherWrittenKey(id: number): Promise<Article> {
    return query();
  }
  // @ts-expect-error a key function of other arguments for a write-through
  @WriteThrough(Articles, (id: number) => String(id))
  otherWrittenArguments(id: string): Promise<Article> {
    return query();
  }
  // @ts-expect-error keyOf that makes another key
  @WriteThrough(Visits, { keyOf: ({ count }) => count })
  otherKeyOf(): Promise<{ count: number; at: Date }> {
    return query();
  }
  // @ts-expect-error keyOf of what the value does not have
  @WriteThrough(Articles, { keyOf: ({ slug }) => slug })
  noKeyOf(): Promise<Article> {
    return query();
  }
  // @ts-expect-error the target of another decorator
  @WriteThrough(Articles, { key: (id: string) => id })
  otherTarget(id: string): Promise<Article> {
    return query();
  }
}

// --- writing behind: contracts

// @ts-expect-error sums of text
entity<string>('s', { maxStaleness: '1m', read, write: writeBehind({ merge: 'sum' }) });
// @ts-expect-error sums of objects
entity<UserProfile>('s', { maxStaleness: '1m', read, write: writeBehind({ merge: 'sum' }) });
// @ts-expect-error sums of a number or a text
entity<number | string>('s', { maxStaleness: '1m', read, write: writeBehind({ merge: 'sum' }) });
// @ts-expect-error a way to merge that does not exist
writeBehind({ merge: 'max' });
// @ts-expect-error an option of write-behind that does not exist
writeBehind({ interval: '1s' });
// @ts-expect-error a malformed duration of write-behind
writeBehind({ flushEvery: 'often' });
// @ts-expect-error an option of retrying that does not exist
writeBehind({ retry: { times: 3 } });
// @ts-expect-error a database that has no ledger
ledgerSchema('mysql');

// --- writing behind: mutations

// @ts-expect-error a sum of text
add('1');
// @ts-expect-error removing what is never nothing
export const removed: Mutation<number> = remove();
// @ts-expect-error adding to a text
export const addedText: Mutation<string | null> = add(1);
// @ts-expect-error adding to an object
export const addedObject: Mutation<{ count: number }> = add(1);
// @ts-expect-error adding a bigint to a number
export const addedBig: Mutation<number> = add(1n);
// @ts-expect-error adding a number to a bigint
export const addedSmall: Mutation<bigint> = add(1);
// @ts-expect-error setting another value
export const setOther: Mutation<number> = set('1');
// @ts-expect-error setting nothing where there is always something
export const setNothing: Mutation<number> = set(null);

// --- writing behind: methods

export class Behind {
  // @ts-expect-error a description that is the value itself
  @WriteBehind(Drafts)
  async valueItself(id: string): Promise<{ text: string } | null> {
    return null;
  }
  // @ts-expect-error a description of another value
  @WriteBehind(Drafts)
  async otherValue(id: string) {
    return set({ title: 'x' });
  }
  // @ts-expect-error a removal where there is always something
  @WriteBehind(Views)
  async removal(id: number) {
    return remove();
  }
  // @ts-expect-error an addition to an object
  @WriteBehind(Drafts)
  async addition(id: string) {
    return add(1);
  }
  // @ts-expect-error a bigint added to a number
  @WriteBehind(Views)
  async bigAddition(id: number) {
    return add(1n);
  }
  // @ts-expect-error a number added to a bigint
  @WriteBehind(Balances, (account: string) => [account, 'EUR'])
  async smallAddition(account: string) {
    return add(1);
  }
  // @ts-expect-error a description that may be nothing
  @WriteBehind(Views)
  async perhaps(id: number): Promise<Mutation<number> | undefined> {
    return undefined;
  }
  // @ts-expect-error a description without a promise
  @WriteBehind(Views)
  sync(id: number) {
    return add(1);
  }
  // @ts-expect-error a description of two arguments and no key function
  @WriteBehind(Views)
  async two(id: number, by: number) {
    return add(by);
  }
  // @ts-expect-error a description under a key of another type
  @WriteBehind(Views)
  async otherKey(id: string) {
    return add(1);
  }
  // @ts-expect-error a key function of other arguments for a description
  @WriteBehind(Views, (id: string) => Number(id))
  async otherArguments(id: number) {
    return add(1);
  }
  // @ts-expect-error a key function that makes another key for a description
  @WriteBehind(Views, (id: number) => `${id}`)
  async otherMadeKey(id: number) {
    return add(1);
  }
  // @ts-expect-error a static description
  @WriteBehind(Views)
  static async ofClass(id: number) {
    return add(1);
  }

  // @ts-expect-error a batch of another entity
  @Flushes(Views, { atLeastOnce: true })
  async otherBatch(batch: FlushBatch<typeof Drafts>): Promise<void> {}
  // @ts-expect-error a transaction of another ledger
  @Flushes(Views, { ledger: OtherLedger })
  async otherTx(batch: FlushBatch<typeof Views>, tx: ShopTx): Promise<void> {}
  // @ts-expect-error a transaction without a ledger
  @Flushes(Scores)
  async noTx(batch: FlushBatch<typeof Scores>, tx: ShopTx): Promise<void> {}
  // @ts-expect-error flushing without a promise
  @Flushes(Scores)
  syncFlush(batch: FlushBatch<typeof Scores>): void {}
  // @ts-expect-error flushing that resolves to a number of rows
  @Flushes(Scores)
  async rows(batch: FlushBatch<typeof Scores>): Promise<number> {
    return 1;
  }
  // @ts-expect-error rejected keys without a reason
  @Flushes(Scores)
  async noReason({ entries }: FlushBatch<typeof Scores>) {
    return { rejected: entries.map(({ key }) => ({ key })) };
  }
  // @ts-expect-error an option of flushing that does not exist
  @Flushes(Scores, { atMostOnce: true })
  async atMost(batch: FlushBatch<typeof Scores>): Promise<void> {}
  // @ts-expect-error a no to writing at least once
  @Flushes(Scores, { atLeastOnce: false })
  async notAtLeast(batch: FlushBatch<typeof Scores>): Promise<void> {}
  // @ts-expect-error an instance where the class of a ledger belongs
  @Flushes(Scores, { ledger: new ShopLedger() })
  async instance(batch: FlushBatch<typeof Scores>, tx: ShopTx): Promise<void> {}
  // @ts-expect-error a class that is no ledger
  @Flushes(Scores, { ledger: Map })
  async noLedger(batch: FlushBatch<typeof Scores>): Promise<void> {}

  @Flushes(Views, { ledger: ShopLedger })
  async entries({ entries }: FlushBatch<typeof Views>): Promise<Flushed> {
    for (const entry of entries) {
      // @ts-expect-error the value of an entry that may be a sum
      console.log(entry.value);
      // @ts-expect-error a removal of what is never nothing
      if (entry.op === 'remove') return;
      // @ts-expect-error a sum taken for a number
      if (entry.op === 'add') console.log(entry.by * 2);
      // @ts-expect-error an entry that is changed
      entry.seq = 1;
    }
    // @ts-expect-error a batch that is changed
    entries.push(entries[0]!);
    return undefined;
  }
  drafts(letter: DeadLetter<typeof Drafts>): void {
    // @ts-expect-error a sum of an entity that has none
    if (letter.op === 'add') return;
    // @ts-expect-error the value of a letter that may be a removal
    console.log(letter.value);
    // @ts-expect-error a key of another entity
    const key: number = letter.key;
  }
}

// @ts-expect-error an override of nothing
OverrideStrategy({});
// @ts-expect-error an override of one entity by nothing
OverrideStrategy(Views, {});
// @ts-expect-error an override by write-behind
OverrideStrategy(Views, { write: writeBehind() });
// @ts-expect-error an override by a strategy that is not called
OverrideStrategy(Views, { write: writeThrough });
// @ts-expect-error a read strategy where an acceptance belongs
export const strategy: StrategyOverride = { read };

// @ts-expect-error mutate with a removal of what is never nothing
void cache.mutate(Views, 1, remove());
// @ts-expect-error mutate with a key of another type
void cache.mutate(Views, '1', add(1));
// @ts-expect-error mutate with another value
void cache.mutate(Drafts, 'a', set('x'));
// @ts-expect-error mutate with a bigint where numbers are
void cache.mutate(Views, 1, add(1n));
// @ts-expect-error mutate with the value itself
void cache.of(Drafts).mutate('a', { text: 'x' });
// @ts-expect-error a facade that mutates a key of another type
void cache.of(Views).mutate('1', add(1));
// @ts-expect-error a dead letter where its id belongs
void cache.journal(Views).retry({ id: 'x' });

// --- calls

// @ts-expect-error get with a key of another type
void cache.get(Profiles, 42, async () => null);
// @ts-expect-error get with a loader of another value
void cache.get(Profiles, '42', async () => 42);
// @ts-expect-error get with a loader that is not async
void cache.get(Profiles, '42', () => null);
// @ts-expect-error peek with a key of another type
void cache.peek(Products, '1');
// @ts-expect-error invalidate with a shorter tuple
void cache.invalidate(Permissions, ['t']);
// @ts-expect-error of() and then a key of another type
void cache.of(Permissions).invalidate(['t']);
// @ts-expect-error getMany with one key
void cache.getMany(Articles, 'a', async () => []);
// @ts-expect-error getMany with keys of another type
void cache.getMany(Articles, [1], async () => [null]);
// @ts-expect-error getMany with a loader of one value
void cache.getMany(Articles, ['a'], async () => null);
// @ts-expect-error getMany with a loader of other values
void cache.getMany(Articles, ['a'], async () => [42]);
// @ts-expect-error prime with a value where a loader belongs
void cache.prime(Articles, 'a', null);
// @ts-expect-error prime with a loader of another value
void cache.prime(Articles, 'a', async () => 42);
// @ts-expect-error prime with a loader of undefined
void cache.prime(Articles, 'a', async () => undefined);
// @ts-expect-error prime with a key of another type
void cache.prime(Visits, 'a', async () => ({ count: 1, at: new Date() }));
// @ts-expect-error invalidate with a version of text
void cache.invalidate(Articles, 'a', { atLeast: '5' });
// @ts-expect-error a tag that is no text
void cache.invalidateTag(5);
// @ts-expect-error several tags at once
void cache.invalidateTag(['a', 'b']);
// @ts-expect-error a list where tags belong
currentLoad().tags(['a', 'b']);
// @ts-expect-error a malformed duration of a load
currentLoad().ttl('soon');
// @ts-expect-error context without what to bypass
cache.context({}, () => 1);
// @ts-expect-error a facade called with a key of another type
void products.invalidate('1');
// @ts-expect-error a facade called with a loader of another value
void products.get(1, async () => 'x');
// @ts-expect-error a facade of another entity
export const other: CacheOf<typeof Profiles> = products;

// --- stores that processes share, and locks

declare const unacknowledged: CacheInvalidationUnacknowledgedError;
declare const client: Redis;
declare const cluster: Cluster;
declare const locks: DistributedLock;
declare const lock: Lock;
const url = 'redis://localhost:6379';
const shared = { maxStaleness: '1m', read, write } as const;

// @ts-expect-error a store that is no name
entity<string>('s', { ...shared, store: redisStore({ url }) });
// @ts-expect-error an answer to what is not acknowledged that does not exist
entity<string>('s', { ...shared, onUnacknowledged: 'error' });
// @ts-expect-error the result of a method taken for its type
export const granted: string = unacknowledged.result;
// @ts-expect-error a schema of text
entity<string>('s', { ...shared, schema: '2' });
// @ts-expect-error a store without an address
redisStore({});
// @ts-expect-error an address and a client at once
redisStore({ url, client });
// @ts-expect-error an address as text
redisStore(url);
// @ts-expect-error an address and nodes at once
redisStore({ url, nodes: [url] });
// @ts-expect-error nodes as text
redisStore({ nodes: url });
// @ts-expect-error sentinels without the name of the primary
redisStore({ sentinels: [url] });
// @ts-expect-error a password beside an address, which it is part of
redisStore({ url, password: 'secret' });
// @ts-expect-error a name beside a client, where it is set
redisStore({ client: cluster, name: 'mymaster' });
// @ts-expect-error a host, which is part of the address
redisStore({ host: 'localhost', port: 6379 });
// @ts-expect-error a malformed deadline
redisStore({ url, deadline: 'soon' });
// @ts-expect-error a namespace of one store, which all of them share
redisStore({ url, namespace: 'shop' });
// @ts-expect-error an address where a store belongs
CacheModule.forRoot({ namespace: 'shop', store: url });
// @ts-expect-error a client where a store belongs
CacheModule.forRoot({ namespace: 'shop', store: client });
// @ts-expect-error an open store where what opens it belongs
CacheModule.forRoot({ namespace: 'shop', store: new OwnStore() });
// @ts-expect-error a list of stores without names
CacheModule.forRoot({ namespace: 'shop', stores: [redisStore({ url })] });
// @ts-expect-error a store without a deadline
export const noDeadline: StoreDefinition = { open: () => new OwnStore() };
// @ts-expect-error a store that opens later
export const late: StoreDefinition = { deadlineMs: 100, open: async () => new OwnStore() };
// @ts-expect-error leases granted by nobody who could
export const own: StoreDefinition['leases'] = 'process';
// @ts-expect-error the adapter of a Keyv, without the Keyv
keyvStore(new KeyvRedis(url));
// @ts-expect-error an address where a Keyv belongs
keyvStore(url);
// @ts-expect-error a table where a Keyv belongs
keyvStore(new Map());
// @ts-expect-error no Keyv
keyvStore();
// @ts-expect-error a namespace of one store, which all of them share
keyvStore(new Keyv(), { namespace: 'shop' });
// @ts-expect-error a malformed deadline
keyvStore(new Keyv(), { deadline: 'soon' });
// @ts-expect-error a Keyv where a store belongs
CacheModule.forRoot({ namespace: 'shop', store: new Keyv() });
// @ts-expect-error a store that does not grant leases
export class NoLeases extends CacheStore {
  now = () => 0;
}
export class OtherFill extends OwnStore {
  // @ts-expect-error a fill that does not say what became of it
  override async fill(): Promise<void> {}
}
// @ts-expect-error locks that any application would share
export const lockOfAll = new RedisLock({ url: 'redis://localhost' });
// @ts-expect-error locks without an address
export const noLock = new RedisLock({ namespace: 'shop' });
// @ts-expect-error a lock without a name
void locks.acquire({ patience: 0 });
// @ts-expect-error a malformed ttl of a lock
void locks.acquire('report', { ttl: '10 seconds' });
// @ts-expect-error a function before the name
void locks.run(async () => 1, 'report');
// @ts-expect-error a fence taken for a number
export const fence: number = lock.fence;

// --- module

// @ts-expect-error an option of the module that does not exist
CacheModule.forRoot({ namespaces: 'shop' });
// @ts-expect-error a factory that makes other options
CacheModule.forRootAsync({ useFactory: () => ({ namespace: 1 }) });
// @ts-expect-error one entity where a list belongs
CacheModule.forFeature(Profiles);
// @ts-expect-error a name where an entity belongs
InjectCache('profile');
// @ts-expect-error an event that does not exist
onCacheEvent('hits', () => {});

// --- for code that injects cache-manager

const legacy = entity<Defined>('legacy', shared);
const numbered = entity<Defined, number>('numbered', shared);
declare const managed: Cache;

// @ts-expect-error no entity
CacheManagerModule.register({ isGlobal: true });
// @ts-expect-error a contract where an entity belongs
CacheManagerModule.register({ entity: shared });
// @ts-expect-error an entity with keys that are numbers
CacheManagerModule.register({ entity: numbered });
// @ts-expect-error stores, which the contract names
CacheManagerModule.register({ entity: legacy, stores: [] });
// @ts-expect-error no entity, with a factory
CacheManagerModule.registerAsync({ useFactory: () => ({}) });
// @ts-expect-error a key that is a number
void managed.get(1);
// @ts-expect-error a ttl as text
void managed.set('key', 1, '5s');
// @ts-expect-error a function of another value
void managed.wrap(
  'key',
  () => 1,
  (value: string) => value.length,
);
// @ts-expect-error an event that does not exist
managed.on('expired', () => undefined);
