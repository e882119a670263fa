import {
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  ParseEnumPipe,
  Put,
  UseGuards,
} from '@nestjs/common';
import { ShortTextPipe } from '../http/short-text.pipe.js';
import { CurrentCaller, type Caller } from './caller.js';
import { Permission } from './permission.contract.js';
import { Needs, PermissionGuard } from './permission.guard.js';
import { PermissionService } from './permission.service.js';

/** Who may do what, within the tenant of the caller. */
@Controller('users/:user/permissions')
@UseGuards(PermissionGuard)
export class PermissionController {
  constructor(private readonly permissions: PermissionService) {}

  @Get()
  of(
    @CurrentCaller() { tenant }: Caller,
    @Param('user', ShortTextPipe) user: string,
  ): Promise<readonly Permission[]> {
    return this.permissions.of(tenant, user);
  }

  @Put(':permission')
  @HttpCode(204)
  @Needs(Permission.GrantPermissions)
  grant(
    @CurrentCaller() { tenant }: Caller,
    @Param('user', ShortTextPipe) user: string,
    @Param('permission', new ParseEnumPipe(Permission)) permission: Permission,
  ): Promise<void> {
    return this.permissions.grant(tenant, user, permission);
  }

  @Delete(':permission')
  @HttpCode(204)
  @Needs(Permission.GrantPermissions)
  revoke(
    @CurrentCaller() { tenant }: Caller,
    @Param('user', ShortTextPipe) user: string,
    @Param('permission', new ParseEnumPipe(Permission)) permission: Permission,
  ): Promise<void> {
    return this.permissions.revoke(tenant, user, permission);
  }
}
