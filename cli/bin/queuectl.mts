/** The program `queuectl`. */
import { fileURLToPath } from 'node:url';
import { main } from '../index.js';

// All is written by then, and a large heap takes its time to be given back.
main(process.argv.slice(2), fileURLToPath(import.meta.url)).then(() => process.exit());
