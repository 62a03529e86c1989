/** What this runs on. By way of globalThis: bundlers look for a package in place of a bare `process`. */

/** Whether it is Node, or what does as Node does. */
export const isNode: boolean = globalThis.process?.versions?.node !== undefined;

/** A module of Node's own. Not imported: bundlers for pages would look for it. */
export function builtin<Module>(name: string): Module {
  return globalThis.process.getBuiltinModule(name) as Module;
}
