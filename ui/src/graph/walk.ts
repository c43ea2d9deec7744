/** Who is before and after whom. */

import type { Edge } from "../types";

export interface Neighbours {
  readonly before: ReadonlyMap<string, readonly string[]>;
  readonly after: ReadonlyMap<string, readonly string[]>;
}

export function neighboursOf(edges: readonly Edge[]): Neighbours {
  const before = new Map<string, string[]>();
  const after = new Map<string, string[]>();
  for (const [from, to] of edges) {
    listAt(after, from).push(to);
    listAt(before, to).push(from);
  }
  return { before, after };
}

/** Everything that a node came from and that came from it, the node included. */
export function lineOf(key: string, { before, after }: Neighbours): Set<string> {
  return new Set([...reached(key, before), ...reached(key, after)]);
}

function reached(key: string, next: ReadonlyMap<string, readonly string[]>): Set<string> {
  const found = new Set([key]);
  for (const one of found) for (const further of next.get(one) ?? []) found.add(further);
  return found;
}

function listAt(lists: Map<string, string[]>, key: string): string[] {
  const found = lists.get(key) ?? [];
  lists.set(key, found);
  return found;
}
