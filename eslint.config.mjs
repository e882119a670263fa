import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['dist/**', 'dist-sample/**'] },
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        // Not the nearest one: sample/tsconfig.json sees the built package, which a fresh clone does not have.
        project: './tsconfig.json',
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      // Decorators and key functions take whatever the user's method takes.
      '@typescript-eslint/no-explicit-any': 'off',
      // What a loader throws is passed on as it was thrown, an Error or not.
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // Tests look at untyped answers and write loaders that need not wait for anything.
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
  { files: ['test/types/**'], rules: { '@typescript-eslint/no-unused-vars': 'off' } },
  // Their clients are installed apart, so their types are checked apart.
  {
    files: ['test/recipes/**/*.ts'],
    extends: [tseslint.configs.disableTypeChecked],
    // Nest reads the types of constructors, so they are imported as values.
    languageOptions: {
      parserOptions: { emitDecoratorMetadata: true, experimentalDecorators: true },
    },
  },
  {
    files: ['**/*.{mjs,cjs}'],
    extends: [tseslint.configs.disableTypeChecked],
    // Node.js provides the globals; what is undefined shows when these few files run.
    rules: { 'no-undef': 'off' },
  },
);
