/** A job: its runs, and everything that one of them told. */

import { Box, NativeSelect, Stack, Text } from "@chakra-ui/react";
import { useState } from "react";
import {
  cachedFrom,
  codeRows,
  costRows,
  environmentRows,
  errorOf,
  metrics,
  parameters,
  type Row,
  remoteJob,
  resourceRows,
  sourceOf,
  trackedRuns,
} from "../facets";
import { between, duration, moment, number } from "../format";
import { useAnswer } from "../host/answers";
import { useHost } from "../host/host";
import { Shown } from "../page/messages";
import { lookOf } from "../states";
import type { GraphNode, Run } from "../types";
import { DataOfRun } from "./DataOfRun";
import { Previews } from "./Previews";
import { OutwardLink, Quiet, Rows, Section, StateBadge } from "./parts";
import { TaskLink } from "./TaskLink";

interface Props {
  readonly node: GraphNode;
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly run: string | null;
  readonly onChoose: (key: string) => void;
}

export function JobDetail({ node, nodes, run, onChoose }: Props) {
  const runs = useAnswer<Run[]>(`nodes/${node.key}/runs`);
  const [picked, setPicked] = useState(run);
  return (
    <Shown answer={runs} what="its runs">
      {(all) => {
        const shown = all.find(({ id }) => id === picked) ?? all[0];
        if (shown === undefined) return <Quiet>No run of it is known.</Quiet>;
        return (
          <>
            <RunChoice runs={all} chosen={shown.id} onChoose={setPicked} />
            <RunDetail node={node} run={shown} nodes={nodes} onChoose={onChoose} />
          </>
        );
      }}
    </Shown>
  );
}

function RunChoice(props: { runs: readonly Run[]; chosen: string; onChoose: (id: string) => void }) {
  const zone = useHost().zone();
  return (
    <NativeSelect.Root size="sm" mb={3}>
      <NativeSelect.Field
        aria-label="Run"
        value={props.chosen}
        onChange={(event) => props.onChoose(event.currentTarget.value)}
      >
        {props.runs.map((run, index) => (
          <option key={run.id} value={run.id}>
            {`${moment(run.started ?? run.at, zone)} · ${lookOf(run.state)?.word ?? run.state}${index === 0 ? " · latest" : ""}`}
          </option>
        ))}
      </NativeSelect.Field>
      <NativeSelect.Indicator />
    </NativeSelect.Root>
  );
}

interface RunProps {
  readonly node: GraphNode;
  readonly run: Run;
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly onChoose: (key: string) => void;
}

function RunDetail({ node, run, nodes, onChoose }: RunProps) {
  const zone = useHost().zone();
  const error = errorOf(run.facets);
  const job = remoteJob(run.facets);
  const cached = cachedFrom(run.facets);
  const took = duration(between(run.started, run.ended));
  return (
    <>
      <Stack gap={1} pb={3} fontSize="sm">
        <Box>
          <StateBadge state={run.state} /> {took === "" ? "" : `in ${took}`}
        </Box>
        <Text color="fg.muted">
          {moment(run.started, zone)} {run.ended === null ? "" : `– ${moment(run.ended, zone)}`}
        </Text>
        {cached === null ? null : <Text>Not run again: the result of {cached} counts.</Text>}
        {error === null ? null : (
          <Text color="fg.error" whiteSpace="pre-wrap" wordBreak="break-word">
            {error}
          </Text>
        )}
        <TaskLink node={node} run={run} />
        {job?.address === null || job === null ? null : (
          <OutwardLink address={job.address}>The job's page on its backend</OutwardLink>
        )}
        {trackedRuns(run.facets).map(({ tracker, id, address }) =>
          address === null ? null : (
            <OutwardLink key={id} address={address}>
              The run in {tracker}
            </OutwardLink>
          ),
        )}
        <SourceLink facets={node.facets} />
      </Stack>
      <DataOfRun run={run} nodes={nodes} onChoose={onChoose} />
      <Table
        title="Metrics"
        given
        rows={metrics(run.facets).map(({ name, value }) => ({
          name,
          value: typeof value === "number" ? number(value) : value,
        }))}
      />
      <Table title="Parameters" given rows={parameters(run.facets)} />
      {job !== null && lookOf(run.state)?.over === true ? <Previews run={run.id} /> : null}
      <Table title="Remote job" rows={job?.rows ?? []} />
      <Table
        title="Experiment trackers"
        rows={trackedRuns(run.facets).map(({ tracker, id }) => ({ name: tracker, value: id }))}
      />
      <Table title="Resources" rows={resourceRows(run.facets)} />
      <Table title="Cost" rows={costRows(run.facets)} />
      <Table title="Code" rows={codeRows(run.facets)} />
      <Table title="Environment" rows={environmentRows(run.facets)} />
    </>
  );
}

function Table({ title, rows, given = false }: { title: string; rows: readonly Row[]; given?: boolean }) {
  if (rows.length === 0) return null;
  return (
    <Section title={title}>
      <Rows rows={rows} given={given} />
    </Section>
  );
}

function SourceLink({ facets }: { facets: GraphNode["facets"] }) {
  const source = sourceOf(facets);
  if (source === null) return null;
  const at = source.commit === null ? "" : ` at ${source.commit.slice(0, 10)}`;
  return (
    <Box>
      <OutwardLink address={source.address}>{`Code: ${source.where}${at}`}</OutwardLink>
    </Box>
  );
}
