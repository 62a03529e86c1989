/** The runtime. By way of globalThis: bundlers look for a package in place of a bare `process`. */

/** Whether this is Node, or a runtime that behaves as Node does. */
export const isNode: boolean = globalThis.process?.versions?.node !== undefined;

/** A module of Node's own. Not imported: bundlers for pages would look for it. */
export function builtin<Module>(name: string): Module {
  return globalThis.process.getBuiltinModule(name) as Module;
}
