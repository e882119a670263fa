import { BadRequestException, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';

/** A parameter that is a whole number within bounds, written in digits; everything else is a 400. */
export class WholeNumberPipe implements PipeTransform<string, number> {
  constructor(
    private readonly min: number,
    private readonly max: number,
  ) {}

  transform(text: string, { data }: ArgumentMetadata): number {
    const number = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (number >= this.min && number <= this.max) return number;
    throw new BadRequestException(
      `${data} must be a whole number from ${this.min} to ${this.max}, got '${text.slice(0, 40)}'`,
    );
  }
}

/** The number of a row. */
export const RowId = new WholeNumberPipe(1, Number.MAX_SAFE_INTEGER);
