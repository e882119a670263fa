import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { callerOf } from './caller.js';
import type { Permission } from './permission.contract.js';
import { PermissionService } from './permission.service.js';

/** What the caller of a handler must be permitted to do. */
export const Needs = Reflector.createDecorator<Permission>();

/** Asks for permissions with each request, and the cache keeps that from being a query with each request. */
@Injectable()
export class PermissionGuard implements CanActivate {
  constructor(
    private readonly permissions: PermissionService,
    private readonly reflector: Reflector,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const needed = this.reflector.get(Needs, context.getHandler());
    if (needed === undefined) return true;
    const { tenant, user } = callerOf(context);
    return (await this.permissions.of(tenant, user)).includes(needed);
  }
}
