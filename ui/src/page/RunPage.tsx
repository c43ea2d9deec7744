/** The tab on a DAG run or on a task instance: what it read, ran and wrote. */

import { Box, Flex, Text } from "@chakra-ui/react";
import { useAnswer } from "../host/answers";
import { useHost } from "../host/host";
import { lookOf } from "../states";
import type { RunGraph } from "../types";
import { GraphPane } from "./GraphPane";
import { isNoStore, Message, Shown } from "./messages";

export interface Place {
  readonly dagId: string;
  readonly runId: string;
  readonly taskId: string | null;
  readonly mapIndex: string | null;
}

/** While something runs. */
const AGAIN_MS = 10_000;

export function RunPage({ place }: { place: Place }) {
  const { AirflowLink, useQuery } = useHost();
  useQuery();
  const answer = useAnswer<RunGraph>(questionAbout(place), AGAIN_MS);
  const what = place.taskId === null ? "DAG run" : "task instance";
  if (answer.value === null && answer.error?.status === 404 && !isNoStore(answer.error))
    return (
      <Message title={`Nothing is known of this ${what}`}>
        <Text>
          It has not run yet, or it ran before Airflow was told to keep lineage. What runs from now on is
          shown here.
        </Text>
      </Message>
    );
  return (
    <Box p={2}>
      <Shown answer={answer} what="the graph">
        {({ graph, focus, runs }) => (
          <>
            <Flex justify="space-between" gap={4} mb={2} fontSize="sm" color="fg.muted">
              <Text>
                What this {what} read, ran and wrote{isBusy(graph, focus) ? ", so far" : ""}.
              </Text>
              {focus[0] === undefined ? null : (
                <AirflowLink path={`/plugin/mlx-lineage?node=${encodeURIComponent(focus[0])}`}>
                  Show it over all runs
                </AirflowLink>
              )}
            </Flex>
            <GraphPane graph={graph} start={focus[0] ?? null} marked={focus} runs={runs} onFollow={null} />
          </>
        )}
      </Shown>
    </Box>
  );
}

function questionAbout({ dagId, runId, taskId, mapIndex }: Place): string {
  const query = new URLSearchParams({ dag_id: dagId, run_id: runId });
  if (taskId !== null) query.set("task_id", taskId);
  if (mapIndex !== null && Number(mapIndex) >= 0) query.set("map_index", mapIndex);
  return `at?${query}`;
}

function isBusy(graph: RunGraph["graph"], focus: readonly string[]): boolean {
  const ours = new Set(focus);
  return graph.nodes.some((node) => ours.has(node.key) && lookOf(node.state)?.over === false);
}
