const shared = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^nestjs-cache-contract$': '<rootDir>/lib/index.ts',
    '^nestjs-cache-contract/redis$': '<rootDir>/lib/redis.ts',
    '^nestjs-cache-contract/cache-manager$': '<rootDir>/lib/cache-manager.ts',
  },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          keepClassNames: true,
          parser: { syntax: 'typescript', decorators: true },
          transform: {
            legacyDecorator: true,
            decoratorMetadata: true,
            useDefineForClassFields: true,
          },
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
};

const kinds = (...folders) => folders.map((folder) => `<rootDir>/test/${folder}/**/*.spec.ts`);

/** `fast` runs in parallel; `serial` holds the tests that open ports or compile, one after another. */
export default {
  reporters: ['default', '<rootDir>/test/support/not-run.mjs'],
  projects: [
    { ...shared, displayName: 'fast', testMatch: kinds('unit', 'property', 'conformance', 'wire') },
    {
      ...shared,
      displayName: 'serial',
      testMatch: kinds('integration', 'e2e', 'fault', 'docs', 'types'),
    },
    { ...shared, displayName: 'package', testMatch: kinds('package') },
    { ...shared, displayName: 'recipes', testMatch: kinds('recipes') },
  ],
};
