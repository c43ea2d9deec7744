/** The page inside of Airflow's own: its router, its session's cookie, its time zone. */

import type { ComponentType, ReactNode } from "react";
import { type Host, Refused } from "./host";

/** What Airflow 3.2 and newer give a plugin of their router. */
interface Router {
  readonly Link: ComponentType<{ to: string; children: ReactNode; className?: string }>;
  readonly useSearchParams: () => [URLSearchParams, (next: URLSearchParams) => void];
}

const router = (globalThis as unknown as { ReactRouterDOM: Router }).ReactRouterDOM;
/** This bundle lies beside the API, whatever prefix Airflow is under. */
const HERE = import.meta.url;
const API = new URL("../api/v1/", HERE);

export const airflow: Host = {
  ask: async (path, signal) => {
    const answer = await fetch(new URL(path, API), { signal, headers: { Accept: "application/json" } }).catch(
      (error: unknown) => {
        throw new Refused(0, true, error instanceof Error ? error.message : "no answer");
      },
    );
    if (!answer.ok) throw await refusal(answer);
    return answer.json();
  },
  addressOf: (path) => new URL(path, API).href,
  startLayout: () => {
    try {
      return new Worker(new URL(import.meta.env.LAYOUT_FILE, HERE), { type: "module" });
    } catch {
      return null; // a content security policy of the deployment's
    }
  },
  useQuery: () => router.useSearchParams(),
  AirflowLink: ({ path, children }) => (
    <router.Link to={path} className="mlx-link">
      {children}
    </router.Link>
  ),
  zone: () => {
    try {
      const chosen: unknown = JSON.parse(localStorage.getItem("timezone") ?? "null");
      if (typeof chosen === "string" && chosen !== "" && new Intl.DateTimeFormat("en", { timeZone: chosen }))
        return chosen;
    } catch {
      // not chosen, or no zone that this browser knows
    }
    return Intl.DateTimeFormat().resolvedOptions().timeZone;
  },
  login: new URL("api/v2/auth/login", document.baseURI).href,
};

async function refusal(answer: Response): Promise<Refused> {
  const body = await answer.text();
  const isText = !(answer.headers.get("content-type") ?? "").includes("json");
  if (isText) return new Refused(answer.status, true, body.trim());
  try {
    const { detail } = JSON.parse(body) as { detail?: unknown };
    return new Refused(answer.status, false, typeof detail === "string" ? detail : body);
  } catch {
    return new Refused(answer.status, false, body);
  }
}
