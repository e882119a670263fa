import { Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { WholeNumberPipe } from '../http/whole-number.pipe.js';
import { Database } from './database.js';

/** To look at the database, and to make it slow. */
@Controller('database')
export class DatabaseController {
  constructor(private readonly database: Database) {}

  @Get()
  state() {
    return this.database.state();
  }

  @Post('delay/:ms')
  @HttpCode(200)
  delay(@Param('ms', new WholeNumberPipe(0, 10_000)) ms: number) {
    this.database.delayMs = ms;
    return this.database.state();
  }
}
