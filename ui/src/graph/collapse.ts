/**
 * What is drawn of a graph: a job that others run inside of stands for them, until it is opened.
 *
 * Airflow's task, its step and the tasks of the step's pipeline all say what they read and write, so a graph of all
 * three shows everything three times.
 */

import type { Edge, Graph, GraphNode } from "../types";

export interface Shown {
  readonly nodes: readonly ShownNode[];
  readonly edges: readonly Edge[];
}

export interface ShownNode {
  readonly node: GraphNode;
  /** Jobs of the graph inside of it, at any depth. */
  readonly inside: number;
  /** What runs it, as OpenLineage's `integration`: of Airflow's task that which runs its step. */
  readonly platform: string | null;
  /** The opened job that it is shown instead of, if there is one. */
  readonly partOf: string | null;
}

/** @param opened keys of jobs whose inside is shown. */
export function collapse(graph: Graph, opened: ReadonlySet<string>): Shown {
  const jobs = new Map(graph.nodes.filter((node) => node.kind === "job").map((node) => [node.key, node]));
  const around = (key: string) => containerOf(key, jobs);
  const standsFor = new Map([...jobs.keys()].map((key) => [key, representative(key, around, opened)]));
  const inside = countInside(jobs, around);
  const own = ownEdges(graph, jobs, around, opened);
  const hidden = innerDatasets(graph, standsFor);

  const edges = distinct(
    own
      .map(([from, to]): Edge => [standsFor.get(from) ?? from, standsFor.get(to) ?? to])
      .filter(([from, to]) => !hidden.has(from) && !hidden.has(to)),
  );
  const touched = new Set(edges.flat());
  const nodes = graph.nodes.filter((node) => {
    if (node.kind !== "job") return !hidden.has(node.key);
    if (standsFor.get(node.key) !== node.key) return false;
    // a DAG reads and writes nothing itself, and an opened job is shown only for what nobody inside of it says
    return (
      touched.has(node.key) || !(isDag(node) || (opened.has(node.key) && (inside.get(node.key) ?? 0) > 0))
    );
  });
  return {
    nodes: nodes.map((node) => ({
      node,
      inside: opened.has(node.key) ? 0 : (inside.get(node.key) ?? 0),
      platform: (opened.has(node.key) ? node : (loneStep(graph, node.key) ?? node)).integration,
      partOf: node.kind === "job" ? openedAround(node.key, around, opened) : null,
    })),
    edges,
  };
}

/** The job by which a hidden one is shown; any other node by itself. */
export function shownBy(graph: Graph, key: string, opened: ReadonlySet<string>): string {
  const jobs = new Map(graph.nodes.filter((node) => node.kind === "job").map((node) => [node.key, node]));
  return jobs.has(key) ? representative(key, (one) => containerOf(one, jobs), opened) : key;
}

/**
 * The step of Airflow's task, where it has just one: what the reader means by the task.
 *
 * @returns undefined for any other node.
 */
export function loneStep(graph: Graph, key: string): GraphNode | undefined {
  const [first, ...more] = graph.nodes.filter((node) => node.kind === "job" && node.parent === key);
  const task = graph.nodes.find((node) => node.key === key);
  return more.length === 0 && task?.integration === "AIRFLOW" && !isDag(task) ? first : undefined;
}

/** Whether a job is a whole DAG, by OpenLineage's facet. */
export function isDag(node: GraphNode): boolean {
  const type = node.facets.jobType as { jobType?: unknown } | undefined;
  return type?.jobType === "DAG";
}

type Around = (key: string) => string | null;

/** The nearest job around one that can stand for it. */
function containerOf(key: string, jobs: ReadonlyMap<string, GraphNode>): string | null {
  const parent = jobs.get(jobs.get(key)?.parent ?? "");
  return parent === undefined || isDag(parent) || parent.name === "" ? null : parent.key;
}

/** Outermost first, the job itself last; a circle of parents ends where it closes. */
function path(key: string, around: Around): string[] {
  const found = [key];
  for (let above = around(key); above !== null && !found.includes(above); above = around(above))
    found.unshift(above);
  return found;
}

function representative(key: string, around: Around, opened: ReadonlySet<string>): string {
  return path(key, around).find((one) => !opened.has(one)) ?? key;
}

function openedAround(key: string, around: Around, opened: ReadonlySet<string>): string | null {
  const above = around(key);
  return above !== null && opened.has(above) ? above : null;
}

function countInside(jobs: ReadonlyMap<string, GraphNode>, around: Around): Map<string, number> {
  const found = new Map<string, number>();
  for (const key of jobs.keys())
    for (const above of path(key, around).slice(0, -1)) found.set(above, (found.get(above) ?? 0) + 1);
  return found;
}

/** Without those of an opened job that a job inside of it has too. */
function ownEdges(
  graph: Graph,
  jobs: ReadonlyMap<string, GraphNode>,
  around: Around,
  opened: ReadonlySet<string>,
): readonly Edge[] {
  const ofInner = new Set<string>();
  for (const [from, to] of graph.edges) {
    for (const above of jobs.has(from) ? path(from, around).slice(0, -1) : []) ofInner.add(`${above}>${to}`);
    for (const above of jobs.has(to) ? path(to, around).slice(0, -1) : []) ofInner.add(`${from}>${above}`);
  }
  return graph.edges.filter(
    ([from, to]) => !((opened.has(from) || opened.has(to)) && ofInner.has(`${from}>${to}`)),
  );
}

/** Datasets that only hidden jobs of one job hand on to each other. */
function innerDatasets(graph: Graph, standsFor: ReadonlyMap<string, string>): Set<string> {
  const users = new Map<string, { shown: Set<string>; outside: boolean; written: boolean; read: boolean }>();
  for (const [from, to] of graph.edges) {
    const written = standsFor.has(from);
    const [job, dataset] = written ? [from, to] : [to, from];
    const by = standsFor.get(job) ?? job;
    const use = users.get(dataset) ?? { shown: new Set(), outside: false, written: false, read: false };
    use.shown.add(by);
    use.outside ||= by === job;
    use.written ||= written;
    use.read ||= !written;
    users.set(dataset, use);
  }
  return new Set(
    [...users]
      .filter(([, use]) => use.shown.size === 1 && !use.outside && use.written && use.read)
      .map(([key]) => key),
  );
}

function distinct(edges: readonly Edge[]): Edge[] {
  const found = new Map(edges.filter(([from, to]) => from !== to).map((edge) => [edge.join(">"), edge]));
  return [...found.values()];
}
