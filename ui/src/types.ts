/** What the lineage API answers; its own description is `airflow_provider_mlx/lineage/server/app.py`. */

export type Kind = "job" | "dataset" | "model";

/** OpenLineage facets, as they were told: anybody may have written them. */
export type Facets = Readonly<Record<string, unknown>>;

export interface GraphNode {
  readonly key: string;
  readonly kind: Kind;
  readonly namespace: string;
  /** Empty: a job of a DAG that the reader may not see. */
  readonly name: string;
  readonly dag: string | null;
  readonly parent: string | null;
  /** Of a job's latest run: `running`, `complete`, `failed` or `aborted`. */
  readonly state: string | null;
  readonly latest_run: string | null;
  readonly integration: string | null;
  readonly facets: Facets;
}

/** From, to: data flows along it. */
export type Edge = readonly [string, string];

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly Edge[];
  /** There is more, which was left out. */
  readonly cut: boolean;
}

export interface RunGraph {
  readonly graph: Graph;
  readonly focus: readonly string[];
  readonly runs: Readonly<Record<string, string>>;
}

export interface Run {
  readonly id: string;
  readonly job: string;
  /** The run around it. */
  readonly parent: string | null;
  readonly state: string;
  readonly started: string | null;
  readonly ended: string | null;
  readonly at: string;
  /** Of Airflow's own runs: where they are in Airflow. */
  readonly dag: string | null;
  readonly dag_run: string | null;
  readonly task: string | null;
  readonly map_index: number | null;
  readonly try: number | null;
  readonly facets: Facets;
  readonly data: readonly { side: "in" | "out"; dataset: string; version: string | null }[];
}

export interface Version {
  readonly version: string;
  readonly run: string;
  readonly job: string;
  readonly at: string;
}

export interface Origin {
  readonly dataset: string;
  readonly version: string | null;
  readonly run: string;
  readonly job: string;
  readonly read: readonly (readonly [string, string | null])[];
}

export interface Cost {
  readonly amount: number;
  readonly currency: string;
  readonly estimated: boolean;
}

export interface Step {
  readonly run: string;
  readonly job: string;
  readonly name: string;
  readonly dag: string | null;
  readonly task: string | null;
  readonly dag_run: string | null;
  readonly map_index?: number | null;
  readonly try: number | null;
  readonly backend: string | null;
  readonly state: string;
  readonly stack: string | null;
  readonly target: string | null;
  readonly attempt: number | null;
  readonly reason: string | null;
  readonly started: string | null;
  readonly ended: string | null;
  readonly seconds: number | null;
  readonly gpu_hours: number | null;
  readonly cost: Cost | null;
  readonly url: string | null;
  readonly image: string | null;
}

export interface Steps {
  readonly steps: readonly Step[];
  readonly next: string | null;
}

export interface About {
  readonly database: "sqlite" | "postgresql";
  readonly events: number;
  readonly retention_days: number | null;
  readonly version: string;
  /** Whether `runs/{run}/previews` is answered. */
  readonly previews?: boolean;
}

export interface Preview {
  readonly output: string;
  readonly kind: string;
  readonly mediaType: string;
  readonly href: string;
}
