import { withCache, withoutCache } from './storm/both-ways.js';
import { picture } from './storm/picture.js';

// One after the other, so that neither takes time from the other.
const cached = await withCache();
const uncached = await withoutCache();
console.log(picture(cached, uncached, new Date()));
