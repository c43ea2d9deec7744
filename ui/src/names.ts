/** How things are called on the page. Names come from outside and stay text. */

import { isDag } from "./graph/collapse";
import type { GraphNode, Step } from "./types";

/** The title of a node, short enough for its box, and what tells it from others of that title. */
export function labelOf(node: GraphNode): { title: string; context: string } {
  if (node.name === "") return { title: "another DAG's job", context: "you may not read its DAG" };
  if (node.kind === "job") return jobLabel(node);
  const model = registeredName(node);
  const parts = node.name.split("/").filter((part) => part !== "");
  const output = outputOf(node.name);
  if (output !== null) return { title: model ?? `${output.task} → ${output.output}`, context: output.dag };
  return { title: model ?? parts.at(-1) ?? "/", context: placeOf(node.namespace, parts.slice(0, -1)) };
}

/** Everything that says which node it is: a job's name, a dataset's address. */
export function fullName(node: GraphNode): string {
  if (node.name === "") return labelOf(node).title;
  if (node.kind === "job") return node.name;
  if (node.namespace === "file") return `file://${node.name}`;
  return `${node.namespace}/${node.name.replace(/^\//, "")}`;
}

/** A step's name within its DAG; one that bears the name of its task is called so once. */
export function stepTitle(name: string, dag: string | null): string {
  const within = dag !== null && name.startsWith(`${dag}.`) ? name.slice(dag.length + 1) : name;
  const parts = within.split(".");
  return parts.length === 2 && parts[0] === parts[1] ? (parts[0] ?? within) : within;
}

/**
 * An artifact's place in `<root>/outputs/<deployment>/<dag>/<task>/<output>`, which is the same in every run.
 *
 * @returns null for any other dataset.
 */
export function outputOf(name: string): { dag: string; task: string; output: string } | null {
  const [, found] = name.split("/outputs/");
  const [deployment, dag, task, output, ...more] = (found ?? "").split("/");
  if (!deployment || !dag || !task || !output || more.length > 0) return null;
  return { dag, task, output };
}

export const KIND_WORDS = { job: "Job", dataset: "Dataset", model: "Model" } as const;

export type Platform = "sagemaker" | "kubeflow" | "kubernetes" | "airflow" | "local" | "other";

/** What runs a job, by OpenLineage's `integration` or by our backend's name. */
export function platformOf(word: string | null): Platform {
  const key = (word ?? "").toLowerCase();
  return PLATFORMS[key] ?? "other";
}

const PLATFORMS: Readonly<Record<string, Platform>> = {
  sagemaker: "sagemaker",
  sagemaker_pipeline: "sagemaker",
  kubeflow: "kubeflow",
  kubeflow_pipelines: "kubeflow",
  kubeflow_pipeline_run: "kubeflow",
  kubernetes: "kubernetes",
  trainer: "kubernetes",
  airflow: "airflow",
  local: "local",
};

export const PLATFORM_WORDS: Readonly<Record<Platform, string>> = {
  sagemaker: "SageMaker",
  kubeflow: "Kubeflow Pipelines",
  kubernetes: "Kubernetes",
  airflow: "Airflow",
  local: "local",
  other: "another system",
};

/** The DAG's page, the run's, or the task instance's with its log, as far as the step says where it belongs. */
export function airflowPathOf(
  step: Pick<Step, "dag" | "dag_run" | "task" | "map_index" | "try">,
): string | null {
  const { dag, dag_run: run, task, map_index: index, try: number } = step;
  if (dag === null) return null;
  if (run === null || run === undefined) return `/dags/${encodeURIComponent(dag)}`;
  const runPath = `/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run)}`;
  if (task === null) return runPath;
  const mapped = index !== null && index !== undefined && index >= 0 ? `/mapped/${index}` : "";
  const query = number === null ? "" : `?try_number=${number}`;
  return `${runPath}/tasks/${encodeURIComponent(task)}${mapped}${query}`;
}

function jobLabel(node: GraphNode): { title: string; context: string } {
  if (isDag(node)) return { title: node.name, context: "DAG" };
  return { title: stepTitle(node.name, node.dag), context: node.dag ?? node.namespace };
}

function registeredName(node: GraphNode): string | null {
  const model = node.facets.mlx_model as { name?: unknown } | undefined;
  return typeof model?.name === "string" && model.name !== "" ? model.name : null;
}

function placeOf(namespace: string, folders: readonly string[]): string {
  const base = namespace === "file" ? "" : namespace;
  return folders.length === 0 ? base || namespace : `${base}/${folders.join("/")}`;
}
