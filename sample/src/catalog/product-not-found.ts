import { NotFoundException } from '@nestjs/common';

/** An error of its own, so that "there is no such product" is never mistaken for another 404. */
export class ProductNotFound extends NotFoundException {
  constructor(id: number) {
    super(`no product ${id}`);
  }
}
