// Lab's packages are ES modules that jest has to translate; everything else in node_modules is taken as it is.
const translated = ['@jupyter', '@jupyterlab', '@lumino', 'lib0', 'y-protocols', 'yjs'];

module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/tests/**/*.spec.ts'],
  openHandlesTimeout: 6000, // the live region's pause of 5 s
  transform: { '\\.[jt]sx?$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' } }] },
  transformIgnorePatterns: [`/node_modules/(?!(${translated.join('|')})/)`],
  moduleNameMapper: { '\\.(css|svg)$': '<rootDir>/tests/empty.js' }
};
