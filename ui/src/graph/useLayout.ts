/** A layout that is made in a thread of its own, so that a large graph holds up nothing. */

import { useEffect, useRef, useState } from "react";
import { useHost } from "../host/host";
import type { Shown } from "./collapse";
import { type Plan, plan } from "./layout";
import type { Question } from "./layout.worker";

export interface Drawing {
  readonly shown: Shown;
  readonly plan: Plan;
}

/** @returns the last finished drawing; null until there is one. */
export function useLayout(shown: Shown): Drawing | null {
  const { startLayout } = useHost();
  const [drawing, setDrawing] = useState<Drawing | null>(null);
  const worker = useRef<Worker | null>(null);
  const asked = useRef(0);

  useEffect(() => () => worker.current?.terminate(), []);

  useEffect(() => {
    const id = ++asked.current;
    const question: Question = { id, keys: shown.nodes.map(({ node }) => node.key), edges: shown.edges };
    const here = () => setDrawing({ shown, plan: plan(question.keys, question.edges) });
    worker.current ??= startLayout();
    const thread = worker.current;
    if (thread === null) {
      here();
      return;
    }
    thread.onmessage = ({ data }: MessageEvent<{ id: number; plan: Plan }>) => {
      if (data.id === asked.current) setDrawing({ shown, plan: data.plan });
    };
    thread.onerror = () => {
      if (id === asked.current) here(); // the browser may not load it; slow is better than nothing
    };
    thread.postMessage(question);
  }, [shown, startLayout]);

  return drawing;
}
