import { BadRequestException, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';

const MAX_LENGTH = 100;

/** A field of a body that is text of a sensible length; everything else is a 400. */
export class ShortTextPipe implements PipeTransform<unknown, string> {
  transform(value: unknown, { data }: ArgumentMetadata): string {
    const text = typeof value === 'string' ? value.trim() : '';
    if (text.length >= 1 && text.length <= MAX_LENGTH) return text;
    throw new BadRequestException(`${data} must be text of 1 to ${MAX_LENGTH} characters`);
  }
}
