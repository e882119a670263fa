import { Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { WholeNumberPipe } from '../http/whole-number.pipe.js';
import { Database } from './database.js';

/** To look at the database, to make it slow, and to cut its connections. */
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

  /** So many of the next commits succeed, and nobody is told. */
  @Post('lose-answers/:count')
  @HttpCode(200)
  loseAnswers(@Param('count', new WholeNumberPipe(0, 100)) count: number) {
    this.database.answersToLose = count;
    return this.database.state();
  }
}
