/** What the page needs of where it is shown: inside of Airflow, or in a file of its own. */

import { type ComponentType, createContext, type ReactNode, useContext } from "react";

export interface Host {
  /**
   * One question to the lineage API.
   *
   * @param path below `/mlx/lineage/api/v1/`, with its query.
   * @throws {Refused} there is no such answer.
   */
  readonly ask: (path: string, signal: AbortSignal) => Promise<unknown>;
  /** The address of what an answer calls by a path of the API. */
  readonly addressOf: (path: string) => string;
  /** A thread for the layout of a graph; null where there is none to be had. */
  readonly startLayout: () => Worker | null;
  /** The page's query, which is part of its address in Airflow. */
  readonly useQuery: () => readonly [URLSearchParams, (next: URLSearchParams) => void];
  /** A link to a page of Airflow. */
  readonly AirflowLink: ComponentType<{ path: string; children: ReactNode }>;
  /** The time zone that the reader has chosen. */
  readonly zone: () => string;
  /** Where to log in again. */
  readonly login: string | null;
}

/** An answer that is none. */
export class Refused extends Error {
  /** @param status of HTTP; 0 if nobody answered. */
  constructor(
    readonly status: number,
    readonly plainText: boolean,
    message: string,
  ) {
    super(message);
  }
}

const Place = createContext<Host | null>(null);

export const HostProvider = Place.Provider;

export function useHost(): Host {
  const host = useContext(Place);
  if (host === null) throw new Error("the page is shown outside of a HostProvider");
  return host;
}
