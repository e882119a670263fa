import 'reflect-metadata';
import {
  ClassSerializerInterceptor,
  Controller,
  Get,
  Header,
  Headers,
  HttpCode,
  Injectable,
  NotFoundException,
  Param,
  Post,
  Query,
  UseGuards,
  UseInterceptors,
  type CanActivate,
} from '@nestjs/common';
import { Exclude } from 'class-transformer';
import { Cached, entity, Invalidates, invalidate, readThrough } from 'nestjs-cache-contract';
import { PLATFORMS, serve } from './apps/start.js';

class Member {
  readonly id: string;
  readonly language: string;
  readonly load: number;
  @Exclude() readonly password: string;
  constructor(data: Omit<Member, 'password'>) {
    Object.assign(this, data, { password: 'hunter2' });
  }
}
const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
} as const;
const revive = (plain: Member) => Object.assign(Object.create(Member.prototype) as Member, plain);
const Members = entity<Member, readonly [string, string]>('member', { ...contract, revive });
const Pages = entity<string>('page', contract);

@Injectable()
class Doorman implements CanActivate {
  asked = 0;
  canActivate(): boolean {
    return ++this.asked > 0;
  }
}
@Injectable()
class Source {
  loads = 0;
  member(id: string, language: string): Member {
    return new Member({ id, language, load: ++this.loads });
  }
}

@Controller('above')
class CachedAbove {
  constructor(readonly source: Source) {}
  @Cached(Members, (id: string, language: string) => [id, language] as const)
  @Get(':id')
  @HttpCode(203)
  @Header('x-shown-by', 'handler')
  @UseGuards(Doorman)
  @UseInterceptors(ClassSerializerInterceptor)
  async find(@Param('id') id: string, @Query('language') language: string): Promise<Member> {
    return this.source.member(id, language);
  }
}

@Controller('below')
class CachedBelow {
  constructor(readonly source: Source) {}
  @Get(':id')
  @HttpCode(203)
  @Header('x-shown-by', 'handler')
  @UseGuards(Doorman)
  @UseInterceptors(ClassSerializerInterceptor)
  @Cached(Members, (id: string, language: string) => [id, language] as const)
  async find(@Param('id') id: string, @Query('language') language: string): Promise<Member> {
    return this.source.member(id, language);
  }
}

@Controller('pages')
class Pager {
  loads = 0;
  @Cached(Pages, (id: string, _agent: string) => id)
  @Get(':id')
  async find(@Param('id') id: string, @Headers('user-agent') agent: string): Promise<string> {
    if (id === 'none') throw new NotFoundException(`no page ${++this.loads}`);
    return `${id} ${++this.loads} for ${agent}`;
  }
  @Post(':id')
  @Invalidates(Pages)
  async save(@Param('id') id: string): Promise<string> {
    return `saved ${id}`;
  }
}

describe.each(PLATFORMS)('on %s', (platform) => {
  it.each(['above', 'below'])(
    'caches a handler whose @Cached stands %s its route decorators, which all stay in force',
    async (place) => {
      const { app, url } = await serve(platform, {
        controllers: [CachedAbove, CachedBelow],
        providers: [Source, Doorman],
      });
      const get = (path: string) => fetch(`${url}/${place}/${path}`);
      const answers = [await get('u1?language=en'), await get('u1?language=en')];
      for (const answer of answers) {
        expect([answer.status, answer.headers.get('x-shown-by')]).toEqual([203, 'handler']);
        // The password is hidden on a hit as well, because the hit is a Member again.
        expect(await answer.json()).toEqual({ id: 'u1', language: 'en', load: 1 });
      }
      expect(await (await get('u1?language=de')).json()).toMatchObject({ language: 'de', load: 2 });
      expect(await (await get('u2?language=en')).json()).toMatchObject({ id: 'u2', load: 3 });
      // A guard decides about the caller, so it is asked on a hit too.
      expect(app.get(Doorman).asked).toBe(4);
    },
  );

  it('does not confuse two handlers of one entity and key, because they share what the entity holds', async () => {
    const { app, url } = await serve(platform, {
      controllers: [CachedAbove, CachedBelow],
      providers: [Source, Doorman],
    });
    const answers = await Promise.all(
      ['above', 'below'].map((place) => fetch(`${url}/${place}/u1?language=en`)),
    );
    expect(await Promise.all(answers.map((answer) => answer.json()))).toEqual([
      { id: 'u1', language: 'en', load: 1 },
      { id: 'u1', language: 'en', load: 1 },
    ]);
    expect(app.get(Source).loads).toBe(1);
  });

  it('invalidates from a handler, so that the next request sees the change', async () => {
    const { url } = await serve(platform, { controllers: [Pager] });
    const headers = { 'user-agent': 'jest' };
    const get = async (id: string) => (await fetch(`${url}/pages/${id}`, { headers })).text();
    expect([await get('a'), await get('a')]).toEqual(['a 1 for jest', 'a 1 for jest']);
    expect(await (await fetch(`${url}/pages/a`, { method: 'POST' })).text()).toBe('saved a');
    expect(await get('a')).toBe('a 2 for jest');
  });

  it('answers with the status of an exception a cached handler throws, and asks again next time', async () => {
    const { url } = await serve(platform, { controllers: [Pager] });
    const get = async () => {
      const answer = await fetch(`${url}/pages/none`);
      return [answer.status, ((await answer.json()) as { message: string }).message];
    };
    expect([await get(), await get()]).toEqual([
      [404, 'no page 1'],
      [404, 'no page 2'],
    ]);
  });
});
