import { MemoryLog } from '../support/memory-store/memory-log.js';
import { invalidationLogConformance } from './invalidation-log.js';

describe('a log in memory', () => {
  invalidationLogConformance(async () => {
    const log = new MemoryLog();
    return {
      open: async () => log.way(),
      lose: async () => log.failOver(Infinity),
      close: async () => {},
    };
  });
});
