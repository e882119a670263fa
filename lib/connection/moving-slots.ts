/** So many looks at who has what go by without a word of a move, and it counts as over. */
const FORGOTTEN_AFTER = 2;

interface Move {
  readonly to: string;
  looks: number;
}

/**
 * Slots that are on their way to another node, as the one that has them says with each key it sends on. Nobody else tells
 * of that node before it has a slot of its own.
 */
export class MovingSlots {
  private readonly moves = new Map<number, Move>();

  told(slot: number, to: string): void {
    this.moves.set(slot, { to, looks: 0 });
  }

  end(slot: number): void {
    this.moves.delete(slot);
  }

  /** Where it moves to. */
  to(slot: number): string | undefined {
    return this.moves.get(slot)?.to;
  }

  /** Somebody has looked who has what. */
  looked(ownerOf: readonly (string | undefined)[]): void {
    for (const [slot, move] of this.moves) {
      move.looks++;
      if (move.looks >= FORGOTTEN_AFTER || ownerOf[slot] === move.to) this.moves.delete(slot);
    }
  }

  /** Whether it gets some of them. */
  isTarget(address: string): boolean {
    return [...this.moves.values()].some(({ to }) => to === address);
  }
}
