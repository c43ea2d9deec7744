/** The columns of the table of steps, and the order of its rows. */

import type { Step } from "../types";

export const COLUMNS = [
  { key: "name", word: "Step", sortable: true },
  { key: "state", word: "State", sortable: false },
  { key: "backend", word: "Backend", sortable: false },
  { key: "dag", word: "DAG", sortable: true },
  { key: "dag_run", word: "Run", sortable: false },
  { key: "try", word: "Try / attempt", sortable: false },
  { key: "started", word: "Started", sortable: true },
  { key: "seconds", word: "Duration", sortable: true },
  { key: "gpu_hours", word: "GPU hours", sortable: true },
  { key: "cost", word: "Cost", sortable: true },
  { key: "url", word: "Remote", sortable: false },
] as const;

export type ColumnKey = (typeof COLUMNS)[number]["key"];

export interface Sorting {
  readonly column: ColumnKey;
  readonly down: boolean;
}

/** What is not known comes last, either way. */
export function sorted(steps: readonly Step[], sorting: Sorting | null): readonly Step[] {
  if (sorting === null) return steps;
  const value = (step: Step) =>
    sorting.column === "cost" ? (step.cost?.amount ?? null) : step[sorting.column];
  const sign = sorting.down ? -1 : 1;
  return [...steps].sort((one, other) => {
    const [left, right] = [value(one), value(other)];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    return (left < right ? -1 : left > right ? 1 : 0) * sign;
  });
}

export function questionFor(
  filters: Readonly<Record<string, string>>,
  limit: number,
  before: string | null,
): string {
  const query = new URLSearchParams({ limit: String(limit) });
  for (const [name, value] of Object.entries(filters)) if (value.trim() !== "") query.set(name, value.trim());
  if (before !== null) query.set("before", before);
  return `steps?${query}`;
}
