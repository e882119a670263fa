import {
  Body,
  Controller,
  Get,
  HttpCode,
  NotFoundException,
  Param,
  Patch,
  Post,
} from '@nestjs/common';
import { ShortTextPipe } from '../http/short-text.pipe.js';
import type { Profile } from './profile.contract.js';
import { ProfileService } from './profile.service.js';

@Controller('profiles')
export class ProfileController {
  constructor(private readonly profiles: ProfileService) {}

  @Get(':id')
  async find(@Param('id') id: string): Promise<Profile> {
    const profile = await this.profiles.find(id);
    if (profile === null) throw new NotFoundException(`no profile ${id}`);
    return profile;
  }

  @Post()
  create(@Body('name', ShortTextPipe) name: string): Promise<Profile> {
    return this.profiles.create(name);
  }

  @Patch(':id')
  @HttpCode(204)
  async rename(@Param('id') id: string, @Body('name', ShortTextPipe) name: string): Promise<void> {
    const found = await this.profiles.rename(id, name);
    if (!found) throw new NotFoundException(`no profile ${id}`);
  }
}
