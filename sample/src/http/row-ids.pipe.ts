import { BadRequestException, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import { RowId } from './whole-number.pipe.js';

const MOST = 100;

/** Numbers of rows, separated by commas; everything else is a 400. */
export class RowIdsPipe implements PipeTransform<unknown, number[]> {
  transform(value: unknown, metadata: ArgumentMetadata): number[] {
    const ids = typeof value === 'string' ? value.split(',') : [];
    if (ids.length >= 1 && ids.length <= MOST) {
      return ids.map((id) => RowId.transform(id, metadata));
    }
    throw new BadRequestException(`${metadata.data} must be 1 to ${MOST} numbers, as in 1,2,3`);
  }
}
