import { Command } from 'ioredis';
import fc from 'fast-check';
import { layoutOf, slotOf } from '../../../lib/connection/slots.js';

describe('the slot of a key', () => {
  it('is the one that Redis Cluster counts', () =>
    fc.assert(
      fc.property(
        fc
          .oneof(
            fc.string({ unit: 'binary' }),
            fc.string({ unit: fc.constantFrom('a', '{', '}', 'ü') }),
          )
          // The client takes what comes after for a tag then, and Redis does not.
          .filter((key) => !key.includes('{}')),
        (key) => expect(slotOf(key)).toBe(new Command('get', [key]).getSlot()),
      ),
    ));
});

describe('who has what in a cluster', () => {
  const asked = { host: 'asked', port: 1 };
  const answer = [
    [0, 8_191, ['10.0.0.1', 7_000, 'id', []], ['10.0.0.2', 7_000, 'id', []]],
    [8_192, 16_383, [null, 7_001, 'id', []]],
  ];

  it('is what a node says, which is where it was asked if it does not say where it is', () => {
    expect(layoutOf(answer, asked, (address) => address)).toEqual({
      ranges: [
        expect.objectContaining({
          first: 0,
          last: 8_191,
          primary: { host: '10.0.0.1', port: 7_000 },
        }),
        expect.objectContaining({
          first: 8_192,
          last: 16_383,
          primary: { host: 'asked', port: 7_001 },
        }),
      ],
      nodes: [
        { host: '10.0.0.1', port: 7_000 },
        { host: '10.0.0.2', port: 7_000 },
        { host: 'asked', port: 7_001 },
      ],
    });
  });

  it('takes no name that a node does not have for one', () => {
    const unnamed = [[0, 16_383, ['?', 7_000, 'id', ['ip', '10.0.0.1']], ['', 7_001, 'id', []]]];
    const { nodes } = layoutOf(unnamed, asked, (address) => address);
    expect(nodes).toEqual([7_000, 7_001].map((port) => ({ host: 'asked', port })));
  });

  it('is where those nodes are for us', () => {
    const outside = ({ port }: { port: number }) => ({ host: 'outside', port: port + 1 });
    const { nodes } = layoutOf(answer, asked, outside);
    expect(nodes).toEqual([7_001, 7_001, 7_002].map((port) => ({ host: 'outside', port })));
  });
});
