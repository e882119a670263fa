import { Controller, Get } from '@nestjs/common';
import { InjectCache, type CacheOf } from 'nestjs-cache-contract';
import { ViewCounts } from './view-count.contract.js';

/** What became of the views, for those who run the shop. */
@Controller('counters')
export class CountersController {
  constructor(@InjectCache(ViewCounts) private readonly views: CacheOf<typeof ViewCounts>) {}

  @Get()
  async state() {
    const journal = this.views.journal();
    return { ...journal.status(), deadLetters: await journal.deadLetters() };
  }
}
