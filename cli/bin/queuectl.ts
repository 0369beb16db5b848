/** The program `queuectl`. */
import { fileURLToPath } from 'node:url';
import { main } from '../index.js';

main(process.argv.slice(2), fileURLToPath(import.meta.url));
