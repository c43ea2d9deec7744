/** The page in Airflow's menu: a graph, or the table of all remote steps. */

import { Box, Flex, Heading, Tabs, Text } from "@chakra-ui/react";
import { useAnswer } from "../host/answers";
import { useHost } from "../host/host";
import { StepsTable } from "../steps/StepsTable";
import type { About, Graph, Steps } from "../types";
import { GraphPane } from "./GraphPane";
import { isNoStore, Message, Shown, Trouble } from "./messages";
import { Reach, reachOf } from "./Reach";
import { SearchBox } from "./SearchBox";

export function Page() {
  const { useQuery } = useHost();
  const [query, setQuery] = useQuery();
  const about = useAnswer<About>("about");
  const change = (changes: Readonly<Record<string, string>>) =>
    setQuery(new URLSearchParams([...new Map([...query, ...Object.entries(changes)])]));

  return (
    <Box p={4} width="100%">
      <Flex align="center" gap={6} mb={3} wrap="wrap">
        <Heading size="xl">ML lineage</Heading>
        {isNoStore(about.error) ? null : <SearchBox onFind={(node) => change({ node, view: "graph" })} />}
        <AboutLine about={about.value} />
      </Flex>
      {isNoStore(about.error) && about.error !== null ? (
        <Trouble error={about.error} again={about.again} />
      ) : (
        <Tabs.Root
          lazyMount
          unmountOnExit
          value={query.get("view") === "steps" ? "steps" : "graph"}
          onValueChange={({ value }) => change({ view: value })}
        >
          <Tabs.List>
            <Tabs.Trigger value="graph">Graph</Tabs.Trigger>
            <Tabs.Trigger value="steps">Steps</Tabs.Trigger>
          </Tabs.List>
          <Tabs.Content value="graph" pt={3}>
            <GraphTab query={query} change={change} isEmpty={about.value?.events === 0} />
          </Tabs.Content>
          <Tabs.Content value="steps" pt={3}>
            <StepsTable onShow={(node) => change({ node, view: "graph" })} />
          </Tabs.Content>
        </Tabs.Root>
      )}
    </Box>
  );
}

interface TabProps {
  readonly query: URLSearchParams;
  readonly change: (changes: Readonly<Record<string, string>>) => void;
}

/** Around what was asked for, or around the latest step. */
function GraphTab({ query, change, isEmpty }: TabProps & { isEmpty: boolean }) {
  const asked = query.get("node");
  const latest = useAnswer<Steps>(asked === null ? "steps?limit=1" : null);
  const start = asked ?? latest.value?.steps[0]?.job ?? null;
  if (start !== null)
    return <GraphAround start={start} latest={asked === null} query={query} change={change} />;
  return (
    <Shown answer={latest} what="the latest step">
      {() => (
        <Message title={isEmpty ? "Nothing was told yet" : "No step has run yet"}>
          <Text>
            Lineage comes by itself when a step of a DAG has run. Other jobs and datasets that Airflow told of
            are found by their names, above.
          </Text>
          {isEmpty ? <WhereToTell /> : null}
        </Message>
      )}
    </Shown>
  );
}

/** Where DAGs have run, and the store holds nothing all the same. */
function WhereToTell() {
  const { addressOf } = useHost();
  return (
    <Text>
      If DAGs have run since, look at Airflow's [openlineage] transport: its url and its endpoint together
      must lead to {addressOf("lineage")}, as scheduler and workers reach it. “python -m airflow_provider_mlx
      doctor” looks at it.
    </Text>
  );
}

function GraphAround({ start, latest, query, change }: TabProps & { start: string; latest: boolean }) {
  const reach = reachOf(query);
  const answer = useAnswer<Graph>(
    `graph?node=${encodeURIComponent(start)}&up=${reach.up}&down=${reach.down}`,
  );
  return (
    <>
      <Flex align="center" gap={4} mb={2} wrap="wrap">
        <Reach reach={reach} onChange={change} />
        {latest ? (
          <Text fontSize="sm" color="fg.muted">
            Around the latest step. Search for another start above.
          </Text>
        ) : null}
      </Flex>
      <Shown answer={answer} what="the graph">
        {(graph) => (
          <GraphPane
            key={start}
            graph={graph}
            start={start}
            marked={[start]}
            chosenFirst={latest ? null : start}
            onFollow={(node) => change({ node })}
          />
        )}
      </Shown>
    </>
  );
}

function AboutLine({ about }: { about: About | null }) {
  if (about === null) return null;
  const kept = about.retention_days === null ? "kept for good" : `kept for ${about.retention_days} days`;
  const where = about.database === "sqlite" ? "SQLite, for one API server only" : "PostgreSQL";
  return (
    <Text
      fontSize="xs"
      color="fg.muted"
      ms="auto"
      title={
        about.database === "sqlite"
          ? "The store is a SQLite file on the API server's disk: another API server would not see it. Several share a PostgreSQL."
          : "All API servers share this store."
      }
    >
      {about.events.toLocaleString("en-US")} events, {kept} · {where} · airflow-provider-mlx {about.version}
    </Text>
  );
}
