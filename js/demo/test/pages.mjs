// What `cargo xtask web` put together, for the tests of the pages' parts.

import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const folder = process.env.TORQUE_PAGES ?? fileURLToPath(new URL("../../../target/web", import.meta.url));

/** A module of the pages. */
export const load = (name) => import(pathToFileURL(join(folder, name)));
