import { Body, Controller, Get, Injectable, Param, Post, Sse, UseGuards } from '@nestjs/common';
import type { CanActivate, ExecutionContext, MessageEvent, PipeTransform } from '@nestjs/common';
import { Cached, entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { defer, map, mergeMap, of, type Observable } from 'rxjs';

const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m', loadTimeout: '5m' }),
  write: invalidate(),
} as const;
/** Each place asks for another one, under the id of the request: an event's entity tells the place. */
const Guarded = entity<string>('guarded', contract);
const Piped = entity<string>('piped', contract);
const Handled = entity<string>('handled', contract);
/** Asked for by every place. */
const Shared = entity<string>('shared', contract);

@Injectable()
export class Source {
  /** Whom loads of `Shared` wait for. */
  arrival: (id: string) => Promise<void> = async () => undefined;
  @Cached(Guarded)
  async guarded(id: string): Promise<string> {
    return `${await this.shared(id)} in the guard`;
  }
  @Cached(Piped)
  async piped(id: string): Promise<string> {
    return `${await this.shared(id)} in the pipe`;
  }
  @Cached(Handled)
  async handled(id: string): Promise<string> {
    return `${await this.shared(id)} in the handler`;
  }
  @Cached(Shared)
  async shared(id: string): Promise<string> {
    await this.arrival(id);
    return id;
  }
}
@Injectable()
class Guard implements CanActivate {
  constructor(readonly source: Source) {}
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { url } = context.switchToHttp().getRequest<{ url: string }>();
    return (await this.source.guarded(url.split('/').at(-1) || 'root')) !== '';
  }
}
@Injectable()
class Pipe implements PipeTransform {
  constructor(readonly source: Source) {}
  async transform(id: string): Promise<string> {
    await this.source.piped(id);
    return id;
  }
}

@UseGuards(Guard)
@Controller()
class Places {
  constructor(readonly source: Source) {}
  @Get()
  async root(): Promise<string> {
    return this.source.handled('root');
  }
  @Get('promise/:id')
  async promise(@Param('id', Pipe) id: string): Promise<string> {
    return this.source.handled(id);
  }
  @Get('of/:id')
  of(@Param('id', Pipe) id: string): Observable<string> {
    return of(id).pipe(mergeMap((id) => this.source.handled(id)));
  }
  @Get('defer/:id')
  defer(@Param('id', Pipe) id: string): Observable<string> {
    return defer(() => this.source.handled(id));
  }
  @Get('promised-observable/:id')
  async promisedObservable(@Param('id', Pipe) id: string): Promise<Observable<string>> {
    return defer(() => this.source.handled(id));
  }
  @Sse('sse/:id')
  sse(@Param('id', Pipe) id: string): Observable<MessageEvent> {
    return defer(() => this.source.handled(id)).pipe(map((data) => ({ data })));
  }
  @Post('body/:id')
  async body(@Param('id', Pipe) id: string, @Body() body: { text: string }): Promise<string> {
    return `${await this.source.handled(id)}: ${body.text}`;
  }
}

/** A guard, a pipe and handlers of every kind, each of which asks the cache. */
export const PLACES = { controllers: [Places], providers: [Source, Guard, Pipe] };
