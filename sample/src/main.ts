import { NestFactory } from '@nestjs/core';
import { CacheConfigurationError, EntityCache } from 'nestjs-cache-contract';
import { AppModule } from './app.module.js';
import { keptIn } from './kept-in.js';
import { welcome } from './welcome.js';

const port = process.env.PORT || '3000';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
try {
  await app.listen(Number(port));
  console.log(welcome(await app.getUrl(), keptIn(app.get(EntityCache), process.env)));
} catch (error) {
  console.error(told(error as NodeJS.ErrnoException));
  process.exitCode = 1;
  await app.close();
}

function told(error: NodeJS.ErrnoException): string {
  if (error instanceof CacheConfigurationError) return error.message;
  const why = error.code === 'EADDRINUSE' ? 'another program listens there' : error.message;
  return `Cannot listen on port ${port}: ${why}\nChoose another one: PORT=3001 npm start`;
}
