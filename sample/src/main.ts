import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { welcome } from './welcome.js';

const port = process.env.PORT || '3000';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
try {
  await app.listen(Number(port));
  console.log(welcome(await app.getUrl()));
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  const why = code === 'EADDRINUSE' ? 'another program listens there' : message;
  console.error(`Cannot listen on port ${port}: ${why}\nChoose another one: PORT=3001 npm start`);
  process.exitCode = 1;
  await app.close();
}
