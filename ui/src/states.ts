/** What OpenLineage says of a run, in Airflow's words and colours. */

export interface StateLook {
  readonly word: string;
  /** A palette of Airflow's theme. */
  readonly palette: "success" | "failed" | "running" | "removed" | "none" | "skipped";
  readonly over: boolean;
}

const LOOKS: Readonly<Record<string, StateLook>> = {
  start: { word: "running", palette: "running", over: false },
  running: { word: "running", palette: "running", over: false },
  active: { word: "running", palette: "running", over: false },
  complete: { word: "success", palette: "success", over: true },
  succeeded: { word: "success", palette: "success", over: true },
  skipped: { word: "skipped", palette: "skipped", over: true },
  fail: { word: "failed", palette: "failed", over: true },
  failed: { word: "failed", palette: "failed", over: true },
  aborted: { word: "stopped", palette: "removed", over: true },
  abort: { word: "stopped", palette: "removed", over: true },
  stopped: { word: "stopped", palette: "removed", over: true },
};

/** A word that nobody knows is shown as it is, and is not over. */
export function lookOf(state: string | null): StateLook | null {
  if (state === null || state === "") return null;
  return LOOKS[state.toLowerCase()] ?? { word: state, palette: "none", over: false };
}
