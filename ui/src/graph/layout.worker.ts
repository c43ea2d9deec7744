import type { Edge } from "../types";
import { plan } from "./layout";

export interface Question {
  readonly id: number;
  readonly keys: readonly string[];
  readonly edges: readonly Edge[];
}

self.onmessage = ({ data }: MessageEvent<Question>) => {
  self.postMessage({ id: data.id, plan: plan(data.keys, data.edges) });
};
