import type { IncomingMessage } from 'node:http';
import { createParamDecorator, UnauthorizedException, type ExecutionContext } from '@nestjs/common';

export interface Caller {
  readonly tenant: string;
  readonly user: string;
}

/** Whose request it is. A real shop reads this from a session or a token; this one believes two headers. */
export function callerOf(context: ExecutionContext): Caller {
  const { headers } = context.switchToHttp().getRequest<IncomingMessage>();
  const { 'x-tenant': tenant, 'x-user': user } = headers;
  if (typeof tenant === 'string' && tenant !== '' && typeof user === 'string' && user !== '') {
    return { tenant, user };
  }
  throw new UnauthorizedException('say who you are in the headers x-tenant and x-user');
}

export const CurrentCaller = createParamDecorator((_: unknown, context: ExecutionContext) =>
  callerOf(context),
);
