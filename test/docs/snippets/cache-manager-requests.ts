import { CacheInterceptor } from '@nestjs/cache-manager';
import { Controller, Get, Headers, Injectable, UseInterceptors } from '@nestjs/common';
import { Cached, entity, external, readThrough } from 'nestjs-cache-contract';

// #region url
@Controller('orders')
@UseInterceptors(CacheInterceptor) // the key is the URL: '/orders', whoever asks
export class OrdersByUrl {
  @Get()
  list(@Headers('x-user') user: string): string[] {
    return [`order of ${user}`];
  }
}
// #endregion

// #region key
export const Orders = entity<string[]>('orders', {
  maxStaleness: '30s',
  read: readThrough({ ttl: '30s' }),
  write: external(),
});

@Injectable()
export class OrderService {
  @Cached(Orders) // the key is what the answer depends on
  async of(user: string): Promise<string[]> {
    return [`order of ${user}`];
  }
}

@Controller('orders')
export class OrdersByUser {
  constructor(private readonly orders: OrderService) {}

  @Get()
  list(@Headers('x-user') user: string): Promise<string[]> {
    return this.orders.of(user);
  }
}
// #endregion
