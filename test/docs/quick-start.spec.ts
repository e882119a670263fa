import { jest } from '@jest/globals';

it('prints what the comments of the quick start say', async () => {
  const print = jest.spyOn(console, 'log').mockImplementation(() => undefined);
  await import('./snippets/quick-start.js');
  const printed = print.mock.calls.map(([first]) => first);
  print.mockRestore();
  expect(printed).toEqual(['query', { name: 'Ada' }, 'query', { name: 'Grace' }]);
});
