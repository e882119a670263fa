// For who has a Keyv, the optional peer dependency keyv
export { keyvStore, type KeyvStoreOptions } from './store/keyv/keyv-store.definition.js';
export type { SharedKeyv } from './store/keyv/attentive-keyv.js';
