/** From a run to the task instance in Airflow, which has the log. */

import { Box } from "@chakra-ui/react";
import { useAnswer } from "../host/answers";
import { useHost } from "../host/host";
import { airflowPathOf } from "../names";
import type { GraphNode, Run } from "../types";

export function TaskLink({ node, run }: { node: GraphNode; run: Run }) {
  const { AirflowLink } = useHost();
  // a step's run tells of Airflow's task only by its parent's id
  const above = useAnswer<Run[]>(
    run.task !== null || node.parent === null ? null : `nodes/${node.parent}/runs`,
  );
  const task = run.task !== null ? run : above.value?.find(({ id }) => id === run.parent);
  const path = task === undefined || task.task === null ? null : airflowPathOf(task);
  if (path === null) return null;
  return (
    <Box>
      <AirflowLink path={path}>Airflow's log of the task</AirflowLink>
    </Box>
  );
}
