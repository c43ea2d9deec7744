/** Questions to the API as state of a component. */

import { useCallback, useEffect, useState } from "react";
import { Refused, useHost } from "./host";

export interface Answer<T> {
  /** The last one that there was, also while it is asked for anew. */
  readonly value: T | null;
  readonly error: Refused | null;
  readonly waiting: boolean;
  readonly again: () => void;
}

/**
 * @param path null: nothing is asked.
 * @param everyMs ask again and again, as long as the page can be seen; 0 for once.
 */
export function useAnswer<T>(path: string | null, everyMs = 0): Answer<T> {
  const { ask } = useHost();
  const [round, setRound] = useState(0);
  const [kept, setKept] = useState<{ path: string | null; value: T | null; error: Refused | null }>({
    path: null,
    value: null,
    error: null,
  });
  const again = useCallback(() => setRound((before) => before + 1), []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another round asks the same again
  useEffect(() => {
    if (path === null) return;
    const stop = new AbortController();
    ask(path, stop.signal).then(
      (value) =>
        setKept((before) =>
          before.path === path && before.error === null && sameAs(before.value, value)
            ? before // so that nothing is drawn anew
            : { path, value: value as T, error: null },
        ),
      (error: unknown) => {
        if (stop.signal.aborted) return;
        const refused = error instanceof Refused ? error : new Refused(0, true, String(error));
        setKept((before) => ({ path, value: before.path === path ? before.value : null, error: refused }));
      },
    );
    return () => stop.abort();
  }, [ask, path, round]);

  useEffect(() => {
    if (everyMs === 0 || path === null) return;
    const timer = setInterval(() => document.visibilityState === "visible" && again(), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, path, again]);

  const current = kept.path === path;
  return {
    value: current ? kept.value : null,
    error: current ? kept.error : null,
    waiting: path !== null && !current,
    again,
  };
}

function sameAs(before: unknown, now: unknown): boolean {
  return JSON.stringify(before) === JSON.stringify(now);
}
