/** The bundle that Airflow loads: it finds the component under the name that the plugin registers. */

import { airflow } from "./host/airflow";
import { HostProvider } from "./host/host";
import { Page } from "./page/Page";
import { RunPage } from "./page/RunPage";
import { Style } from "./style";

interface Given {
  readonly dagId?: string;
  readonly runId?: string;
  readonly taskId?: string;
  readonly mapIndex?: string;
}

/** One component for all places: Airflow says by its properties which one it is. */
function LineagePlugin({ dagId, runId, taskId, mapIndex }: Given) {
  return (
    <HostProvider value={airflow}>
      <Style />
      {dagId !== undefined && runId !== undefined ? (
        <RunPage place={{ dagId, runId, taskId: taskId ?? null, mapIndex: mapIndex ?? null }} />
      ) : (
        <Page />
      )}
    </HostProvider>
  );
}

(globalThis as Record<string, unknown>)[import.meta.env.PLUGIN_NAME] = LineagePlugin;
