/** What the page reads of OpenLineage facets: total functions, since what was told may be anything. */

import { bytes, duration, money } from "./format";
import { webAddress } from "./links";
import type { Facets } from "./types";

type Fields = Readonly<Record<string, unknown>>;

export interface Row {
  readonly name: string;
  readonly value: string;
}

export function fields(facets: Facets, name: string): Fields {
  const found = facets[name];
  return typeof found === "object" && found !== null && !Array.isArray(found) ? (found as Fields) : {};
}

export function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

export function list(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "object" && one !== null) : [];
}

export function metrics(facets: Facets): { name: string; value: number | string }[] {
  return list(fields(facets, "mlx_metrics").metrics).flatMap((one) => {
    const value = typeof one.value === "number" ? one.value : text(one.special);
    return typeof one.name === "string" && value !== null ? [{ name: one.name, value }] : [];
  });
}

export function parameters(facets: Facets): Row[] {
  return list(fields(facets, "executionParameters").parameters).flatMap((one) => {
    const name = text(one.key) ?? text(one.name);
    return name === null ? [] : [{ name, value: plain(one.value) }];
  });
}

export interface Column {
  readonly name: string;
  readonly type: string;
  readonly description: string;
  readonly depth: number;
}

/** Nested fields follow the one that they are part of. */
export function columns(facets: Facets): Column[] {
  const walk = (given: unknown, depth: number): Column[] =>
    list(given).flatMap((one) => [
      { name: plain(one.name), type: plain(one.type), description: plain(one.description), depth },
      ...(depth < 4 ? walk(one.fields, depth + 1) : []),
    ]);
  return walk(fields(facets, "schema").fields, 0);
}

export interface Source {
  readonly where: string;
  readonly commit: string | null;
  readonly address: string | null;
}

/** Where the code lies, at its commit. */
export function sourceOf(facets: Facets): Source | null {
  const found = fields(facets, "sourceCodeLocation");
  const where = text(found.path) ?? text(found.repoUrl) ?? text(found.url);
  if (where === null) return null;
  return { where, commit: text(found.version), address: webAddress(found.url) };
}

export function errorOf(facets: Facets): string | null {
  return text(fields(facets, "errorMessage").message);
}

export interface RemoteJob {
  readonly rows: readonly Row[];
  readonly address: string | null;
  readonly name: string | null;
  readonly backend: string | null;
}

export function remoteJob(facets: Facets): RemoteJob | null {
  const job = fields(facets, "mlx_remoteJob");
  if (Object.keys(job).length === 0) return null;
  const place = Object.entries(fields(job, "location")).map(([key, value]) => `${key} ${plain(value)}`);
  return {
    name: text(job.name),
    backend: text(job.backend),
    address: webAddress(job.url),
    rows: rows([
      ["Stack", job.stack],
      ["Target", job.target],
      ["Backend", job.backend],
      ["Where", place.join(", ")],
      ["Job", job.name],
      ["Id", job.id],
      ["Attempt", job.attempt],
      ["Reason", job.reason],
      ["Left out of the event", Array.isArray(job.omitted) ? job.omitted.map(plain).join(", ") : null],
    ]),
  };
}

export function resourceRows(facets: Facets): Row[] {
  const found = fields(facets, "mlx_resources");
  const peak = found.peakMemoryBytes;
  const seconds = Object.entries(fields(found, "seconds")).map(
    ([part, value]) => [`${part} time`, typeof value === "number" ? duration(value) : value] as const,
  );
  return rows([
    ...Object.entries(fields(found, "requested")).map(
      ([name, value]) => [SHORT[name] ?? name, value] as const,
    ),
    ["image", found.image],
    ...seconds,
    ["peak memory", typeof peak === "number" ? bytes(peak) : null],
    ["GPU time", typeof found.gpuSeconds === "number" ? duration(found.gpuSeconds) : null],
    ["billable time", typeof found.billableSeconds === "number" ? duration(found.billableSeconds) : null],
  ]);
}

const SHORT: Readonly<Record<string, string>> = { cpu: "CPU", gpu: "GPU" };

export function costRows(facets: Facets): Row[] {
  const found = fields(facets, "mlx_cost");
  const [amount, currency] = [found.amount, text(found.currency)];
  if (typeof amount !== "number" || currency === null) return [];
  return rows([
    ["Amount", money({ amount, currency, estimated: found.estimated !== false })],
    ["Basis", found.basis],
  ]);
}

export function codeRows(facets: Facets): Row[] {
  const found = fields(facets, "mlx_code");
  const bundle = fields(found, "bundle");
  return rows([
    ["Commit", found.commit],
    ["Branch", found.branch],
    ["Changed since", found.dirty === true ? "yes: a file differed from the commit" : null],
    ["DAG bundle", [bundle.name, bundle.version].filter(Boolean).map(plain).join(" ")],
    ["Code digest", found.codeDigest],
    ["Requirements digest", found.requirementsDigest],
  ]);
}

export function environmentRows(facets: Facets): Row[] {
  const found = fields(facets, "mlx_environment");
  return rows([
    ["Python", [found.implementation, found.python].filter(Boolean).map(plain).join(" ")],
    ["Platform", found.platform],
    ["Image", found.imageDigest],
    ...Object.entries(fields(found, "versions")),
    ["Packages digest", found.packagesDigest],
  ]);
}

export interface TrackedRun {
  readonly tracker: string;
  readonly id: string;
  readonly address: string | null;
}

const TRACKERS: Readonly<Record<string, string>> = { mlflow: "MLflow", wandb: "Weights & Biases" };

/** Where else the step's code has told of itself. */
export function trackedRuns(facets: Facets): TrackedRun[] {
  return list(fields(facets, "mlx_tracker").runs).flatMap((one) => {
    const [kind, id] = [text(one.kind), text(one.id)];
    return kind === null || id === null
      ? []
      : [{ tracker: TRACKERS[kind] ?? kind, id, address: webAddress(one.url) }];
  });
}

export function cachedFrom(facets: Facets): string | null {
  const found = fields(facets, "mlx_cache");
  return found.cached === true ? (text(found.source) ?? "an earlier run") : null;
}

export function modelRows(facets: Facets): Row[] {
  const found = fields(facets, "mlx_model");
  return rows([
    ["Name", found.name],
    ["Framework", found.framework],
    ["Type", found.type],
    ["Format", found.format],
    ["Digest", found.digest],
  ]);
}

/** A value as one line of text; nothing for nothing. */
export function plain(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function rows(pairs: readonly (readonly [string, unknown])[]): Row[] {
  return pairs.flatMap(([name, value]) => (plain(value) === "" ? [] : [{ name, value: plain(value) }]));
}
