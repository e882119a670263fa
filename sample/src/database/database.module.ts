import { Module } from '@nestjs/common';
import { DatabaseController } from './database.controller.js';
import { Database } from './database.js';

@Module({ controllers: [DatabaseController], providers: [Database], exports: [Database] })
export class DatabaseModule {}
