/** The page in a file: answers of the API that were recorded, and no others. */

import { useState } from "react";
import LayoutWorker from "../graph/layout.worker?worker&inline";
import type { Graph, GraphNode } from "../types";
import { type Host, Refused } from "./host";

export interface Recorded {
  readonly title: string;
  readonly graph: Graph;
  /** By path of the API, as it would be asked. */
  readonly answers: Readonly<Record<string, unknown>>;
}

export function standaloneHost(recorded: Recorded): Host {
  return {
    ask: async (path) => {
      if (Object.hasOwn(recorded.answers, path)) return recorded.answers[path];
      if (path.startsWith("search?")) return found(recorded.graph, path);
      throw new Refused(404, false, "this file has no more of it");
    },
    addressOf: () => "about:blank",
    startLayout: () => {
      try {
        return new LayoutWorker();
      } catch {
        return null;
      }
    },
    useQuery: () => useState(() => new URLSearchParams()),
    AirflowLink: NoLink,
    zone: () => Intl.DateTimeFormat().resolvedOptions().timeZone,
    login: null,
  };
}

/** There is no Airflow to lead to. */
function NoLink() {
  return null;
}

function found(graph: Graph, path: string): GraphNode[] {
  const text = new URLSearchParams(path.slice("search?".length)).get("q")?.toLowerCase() ?? "";
  return graph.nodes.filter((node) => node.name.toLowerCase().includes(text)).slice(0, 50);
}
