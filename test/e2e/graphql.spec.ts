import 'reflect-metadata';
import { jest } from '@jest/globals';
import { Injectable, UseGuards, type CanActivate } from '@nestjs/common';
import {
  Args,
  Field,
  GraphQLModule,
  ID,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import type { MercuriusDriverConfig } from '@nestjs/mercurius';
import {
  Cached,
  entity,
  Invalidates,
  invalidate,
  onCacheEvent,
  readThrough,
} from 'nestjs-cache-contract';
import { serve } from './apps/start.js';

// Mercurius requires it to serve its playground, which no test opens; it in turn requires an ES module, which Jest
// cannot do on every version of Node.
jest.mock('@fastify/static', () => () => undefined);
const { MercuriusDriver } = await import('@nestjs/mercurius');

@ObjectType()
class Author {
  @Field(() => ID) id: string;
  @Field(() => Int) load: number;
}
const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
} as const;
const Authors = entity<Author>('author', contract);
const BookCounts = entity<number>('book-count', contract);
const Titles = entity<string>('title', contract);

@Injectable()
class Source {
  loads = 0;
}
@Injectable()
class Doorman implements CanActivate {
  asked = 0;
  canActivate(): boolean {
    return ++this.asked > 0;
  }
}

@Resolver(() => Author)
class AuthorResolver {
  constructor(readonly source: Source) {}

  @Cached(Authors)
  @Query(() => Author)
  @UseGuards(Doorman)
  async above(@Args('id', { type: () => ID }) id: string): Promise<Author> {
    return { id, load: ++this.source.loads };
  }

  @Query(() => Author)
  @UseGuards(Doorman)
  @Cached(Authors)
  async below(@Args('id', { type: () => ID }) id: string): Promise<Author> {
    return { id, load: ++this.source.loads };
  }

  @Cached(BookCounts, (author: Author) => author.id)
  @ResolveField(() => Int)
  async books(@Parent() _author: Author): Promise<number> {
    return ++this.source.loads;
  }

  @ResolveField(() => String)
  @Cached(Titles, (author: Author, language: string) => `${author.id} ${language}`)
  async title(
    @Parent() author: Author,
    @Args('language', { type: () => String }) language: string,
  ): Promise<string> {
    return `${author.id} in ${language}, ${++this.source.loads}`;
  }

  @Mutation(() => Boolean)
  @Invalidates(Authors)
  async rename(@Args('id', { type: () => ID }) _id: string): Promise<boolean> {
    return true;
  }
}

type Enhancer = NonNullable<MercuriusDriverConfig['fieldResolverEnhancers']>[number];

async function startGraphql(fieldResolverEnhancers: Enhancer[] = []) {
  const { app, url } = await serve('Fastify', {
    imports: [
      GraphQLModule.forRoot<MercuriusDriverConfig>({
        driver: MercuriusDriver,
        autoSchemaFile: true,
        fieldResolverEnhancers,
      }),
    ],
    providers: [Source, Doorman, AuthorResolver],
  });
  const ask = async (query: string): Promise<any> => {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ query });
    const answer = await fetch(`${url}/graphql`, { method: 'POST', headers, body });
    return answer.json();
  };
  return { app, ask };
}

it.each(['above', 'below'])(
  'caches a query whose @Cached stands %s @Query, with its arguments bound and its guard asked each time',
  async (place) => {
    const { app, ask } = await startGraphql();
    const first = { id: 'a', load: 1 };
    const query = `{ ${place}(id: "a") { id load } }`;
    expect([await ask(query), await ask(query)]).toEqual([
      { data: { [place]: first } },
      { data: { [place]: first } },
    ]);
    expect(await ask(`{ ${place}(id: "b") { id load } }`)).toEqual({
      data: { [place]: { id: 'b', load: 2 } },
    });
    expect(app.get(Doorman).asked).toBe(3);
  },
);

it('caches field resolvers in either order, once for a parent that occurs twice in a query', async () => {
  const { app, ask } = await startGraphql();
  const fields = '{ books title(language: "en") }';
  const query = `{ first: above(id: "a") ${fields} second: below(id: "a") ${fields} }`;
  const { data } = await ask(query);
  expect(data.first).toEqual({ books: expect.any(Number), title: expect.any(String) });
  expect(data.second).toEqual(data.first);
  expect(data.first.title).toMatch(/^a in en, \d$/);
  expect(await ask(query)).toEqual({ data });
  // One each of author, book count and title.
  expect(app.get(Source).loads).toBe(3);
});

it('invalidates from a mutation, so that the next query sees the change', async () => {
  const { ask } = await startGraphql();
  const query = '{ above(id: "a") { load } }';
  expect([await ask(query), await ask(query)]).toEqual(
    Array(2).fill({ data: { above: { load: 1 } } }),
  );
  expect(await ask('mutation { rename(id: "a") }')).toEqual({ data: { rename: true } });
  expect(await ask(query)).toEqual({ data: { above: { load: 2 } } });
});

it.each<[string, Enhancer[], { books?: string; title?: string }]>([
  ['not field resolvers, for which Nest runs no interceptors', [], {}],
  [
    'field resolvers where Nest runs interceptors for them',
    ['interceptors'],
    { books: 'AuthorResolver.books', title: 'AuthorResolver.title' },
  ],
])(
  'names the query in what it causes, and %s, under one number of the request',
  async (_, enhancers, fields) => {
    const { ask } = await startGraphql(enhancers);
    const heard: { [entity: string]: string | undefined } = {};
    const requests = new Set<number | undefined>();
    const stop = onCacheEvent('load', ({ entity, handler, request }) => {
      heard[entity] = handler;
      requests.add(request);
    });
    await ask('{ above(id: "a") { books title(language: "en") } }');
    stop();
    expect(heard).toEqual({
      author: 'AuthorResolver.above',
      'book-count': fields.books,
      title: fields.title,
    });
    expect([...requests]).toEqual([expect.any(Number)]);
  },
);
