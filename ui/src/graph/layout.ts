/** Where the nodes of a graph go: layers from left to right, along the flow of data. */

import { graphlib, layout } from "@dagrejs/dagre";
import type { Edge } from "../types";

export const WIDTH = 216;
export const HEIGHT = 54;

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Plan {
  /** The centre of each node. */
  readonly places: ReadonlyMap<string, Point>;
  readonly lines: readonly { edge: Edge; points: readonly Point[] }[];
  readonly width: number;
  readonly height: number;
}

/** Above this many nodes the shortest edges cost more time than they are worth. */
const MANY = 300;

export function plan(keys: readonly string[], edges: readonly Edge[]): Plan {
  const graph = new graphlib.Graph();
  graph.setGraph({
    rankdir: "LR",
    nodesep: 18,
    edgesep: 8,
    ranksep: 64,
    marginx: 24,
    marginy: 24,
    ranker: keys.length > MANY ? "longest-path" : "network-simplex",
  });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const key of keys) graph.setNode(key, { width: WIDTH, height: HEIGHT });
  for (const [from, to] of edges) graph.setEdge(from, to);
  layout(graph);
  const size = graph.graph() as { width?: number; height?: number };
  return {
    places: new Map(keys.map((key) => [key, point(graph.node(key))])),
    lines: edges.map((edge) => ({ edge, points: (graph.edge(edge[0], edge[1])?.points ?? []).map(point) })),
    width: size.width ?? 0,
    height: size.height ?? 0,
  };
}

function point({ x, y }: { x: number; y: number }): Point {
  return { x: Math.round(x), y: Math.round(y) };
}
