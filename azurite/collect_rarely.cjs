// Loaded into Azurite's process before Azurite, when it keeps its data in memory. Every ten minutes it looks for blobs
// that nobody refers to any more, and with thousands of them answers nothing meanwhile, for seconds to minutes. Once an
// hour is enough to give back memory.
const path = require('node:path');

const constants = require(path.join(path.dirname(process.argv[1]), 'blob', 'utils', 'constants.js'));
constants.DEFAULT_GC_INTERVAL_MS = 60 * 60 * 1000;
