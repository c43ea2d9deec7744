/** A dataset or a model: what it is, its versions, and how each came to be. */

import { Box, Button, Stack, Table, Text } from "@chakra-ui/react";
import { useState } from "react";
import { type Column, columns, fields, modelRows, text } from "../facets";
import { moment } from "../format";
import { useAnswer } from "../host/answers";
import { useHost } from "../host/host";
import { fullName } from "../names";
import { Shown } from "../page/messages";
import type { GraphNode, Version } from "../types";
import { shortVersion } from "./DataOfRun";
import { OriginOf } from "./OriginOf";
import { OutwardLink, Quiet, Rows, Section } from "./parts";

interface Props {
  readonly node: GraphNode;
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly onChoose: (key: string) => void;
}

export function DatasetDetail({ node, nodes, onChoose }: Props) {
  const described = text(fields(node.facets, "documentation").description);
  const uri = text(fields(node.facets, "dataSource").uri);
  const model = modelRows(node.facets);
  const schema = columns(node.facets);
  return (
    <>
      {described === null ? null : <Quiet>{described}</Quiet>}
      {uri === null || uri === fullName(node) ? null : (
        <Text fontSize="xs" wordBreak="break-all" pb={3}>
          <OutwardLink address={uri}>{uri}</OutwardLink>
        </Text>
      )}
      {model.length === 0 ? null : (
        <Section title="Model">
          <Rows rows={model} />
        </Section>
      )}
      <Section title="Versions">
        <Versions node={node} nodes={nodes} onChoose={onChoose} />
      </Section>
      {schema.length === 0 ? null : (
        <Section title={`Schema: ${schema.length} ${schema.length === 1 ? "field" : "fields"}`}>
          <Schema columns={schema} />
        </Section>
      )}
    </>
  );
}

function Versions({ node, nodes, onChoose }: Props) {
  const versions = useAnswer<Version[]>(`nodes/${node.key}/versions`);
  const [asked, setAsked] = useState<string | null>(null);
  const zone = useHost().zone();
  return (
    <Shown answer={versions} what="its versions">
      {(all) =>
        all.length === 0 ? (
          <Quiet>No run that is known wrote it: it came from outside.</Quiet>
        ) : (
          <Stack gap={2}>
            {all.map(({ version, at }) => (
              <Box key={version} fontSize="sm">
                <Text as="span" title={version} fontFamily="mono" fontSize="xs">
                  {shortVersion(version)}
                </Text>
                <Text as="span" ms={2} color="fg.muted">
                  {moment(at, zone)}
                </Text>
                <Button
                  size="xs"
                  variant="ghost"
                  ms={2}
                  aria-expanded={asked === version}
                  onClick={() => setAsked(asked === version ? null : version)}
                >
                  How it came to be
                </Button>
                {asked === version ? (
                  <OriginOf dataset={node.key} version={version} nodes={nodes} onChoose={onChoose} />
                ) : null}
              </Box>
            ))}
          </Stack>
        )
      }
    </Shown>
  );
}

const ALL_AT_ONCE = 50;

function Schema({ columns: all }: { columns: readonly Column[] }) {
  const [every, setEvery] = useState(false);
  const shown = every ? all : all.slice(0, ALL_AT_ONCE);
  return (
    <>
      <Table.Root size="sm">
        <Table.Body>
          {shown.map((column, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: names may come twice, and rows never move
            <Table.Row key={index} bg="transparent">
              <Table.Cell py={1} ps={column.depth * 4} wordBreak="break-word" title={column.description}>
                {column.name}
              </Table.Cell>
              <Table.Cell py={1} pe={0} color="fg.muted" fontFamily="mono" fontSize="xs">
                {column.type}
              </Table.Cell>
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
      {every || all.length <= ALL_AT_ONCE ? null : (
        <Button size="xs" variant="ghost" onClick={() => setEvery(true)}>
          Show all {all.length}
        </Button>
      )}
    </>
  );
}
