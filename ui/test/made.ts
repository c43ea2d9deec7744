import type { Edge, Graph, GraphNode } from "../src/types";

export function job(key: string, more: Partial<GraphNode> = {}): GraphNode {
  return { ...dataset(key), kind: "job", integration: "LOCAL", state: "complete", ...more };
}

export function dataset(key: string, more: Partial<GraphNode> = {}): GraphNode {
  return {
    key,
    kind: "dataset",
    namespace: "s3://lake",
    name: key,
    dag: null,
    parent: null,
    state: null,
    latest_run: null,
    integration: null,
    facets: {},
    ...more,
  };
}

/** @param flows as `a>b>c`. */
export function graph(nodes: readonly GraphNode[], ...flows: readonly string[]): Graph {
  const edges = flows.flatMap((flow) => {
    const keys = flow.split(">");
    return keys.slice(1).map((to, index): Edge => [keys[index] ?? "", to]);
  });
  return { nodes, edges, cut: false };
}
