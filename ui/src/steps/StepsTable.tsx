/** All remote steps, the newest first. */

import { Box, Button, chakra, Flex, HStack, Input, NativeSelect, Table, Text } from "@chakra-ui/react";
import { useDeferredValue, useState } from "react";
import { OutwardLink, StateBadge, TextButton } from "../detail/parts";
import { duration, moment, money } from "../format";
import { PlatformIcon } from "../graph/icons";
import { useAnswer } from "../host/answers";
import { useHost } from "../host/host";
import { airflowPathOf, PLATFORM_WORDS, platformOf, stepTitle } from "../names";
import { Message, Shown } from "../page/messages";
import type { Step, Steps } from "../types";
import { COLUMNS, type ColumnKey, questionFor, type Sorting, sorted } from "./sorting";

const PAGE = 50;
const AGAIN_MS = 15_000;
const STATES = [
  ["", "any state"],
  ["running", "running"],
  ["complete", "success"],
  ["failed", "failed"],
  ["aborted", "stopped"],
] as const;
const BACKENDS = ["", "sagemaker", "kubeflow_pipelines", "kubernetes", "trainer", "local"] as const;

export function StepsTable({ onShow }: { onShow: (job: string) => void }) {
  const [filters, setFilters] = useState({ state: "", backend: "", dag_id: "", text: "" });
  const [pages, setPages] = useState<readonly string[]>([]);
  const [sorting, setSorting] = useState<Sorting | null>(null);
  const asked = useDeferredValue(filters);
  const answer = useAnswer<Steps>(questionFor(asked, PAGE, pages.at(-1) ?? null), AGAIN_MS);
  const filter = (name: keyof typeof filters) => (value: string) => {
    setFilters({ ...filters, [name]: value });
    setPages([]);
  };
  return (
    <Box>
      <Flex gap={3} mb={3} wrap="wrap">
        <Choice label="State" options={STATES} value={filters.state} onChange={filter("state")} />
        <Choice
          label="Backend"
          options={BACKENDS.map((one) => [one, one === "" ? "any backend" : one] as const)}
          value={filters.backend}
          onChange={filter("backend")}
        />
        <Words label="DAG" value={filters.dag_id} onChange={filter("dag_id")} />
        <Words label="Step" value={filters.text} onChange={filter("text")} />
      </Flex>
      <Shown answer={answer} what="the steps">
        {({ steps, next }) =>
          steps.length === 0 ? (
            <NoSteps filtered={Object.values(filters).some((value) => value !== "") || pages.length > 0} />
          ) : (
            <>
              <Rows steps={sorted(steps, sorting)} sorting={sorting} onSort={setSorting} onShow={onShow} />
              <HStack justify="space-between" mt={3}>
                <Text fontSize="sm" color="fg.muted">
                  {steps.length} steps, page {pages.length + 1}
                  {sorting === null ? ", newest first" : ", sorted within this page"}
                </Text>
                <HStack>
                  <Button
                    size="sm"
                    variant="outline"
                    disabled={pages.length === 0}
                    onClick={() => setPages(pages.slice(0, -1))}
                  >
                    Newer
                  </Button>
                  <Button
                    size="sm"
                    variant="outline"
                    disabled={next === null}
                    onClick={() => next !== null && setPages([...pages, next])}
                  >
                    Older
                  </Button>
                </HStack>
              </HStack>
            </>
          )
        }
      </Shown>
    </Box>
  );
}

function NoSteps({ filtered }: { filtered: boolean }) {
  return filtered ? (
    <Message title="No step is like that">
      <Text>Take a filter away to see more.</Text>
    </Message>
  ) : (
    <Message title="No step has run yet">
      <Text>A step is listed as soon as its backend has accepted the job.</Text>
    </Message>
  );
}

interface RowsProps {
  readonly steps: readonly Step[];
  readonly sorting: Sorting | null;
  readonly onSort: (next: Sorting | null) => void;
  readonly onShow: (job: string) => void;
}

function Rows({ steps, sorting, onSort, onShow }: RowsProps) {
  return (
    <Box overflowX="auto" borderWidth="1px" borderRadius="md">
      <Table.Root size="sm" striped>
        <Table.Header>
          <Table.Row>
            {COLUMNS.map(({ key, word, sortable }) => (
              <Table.ColumnHeader key={key} whiteSpace="nowrap" aria-sort={ariaSort(key, sorting)}>
                {sortable ? <SortButton column={key} word={word} sorting={sorting} onSort={onSort} /> : word}
              </Table.ColumnHeader>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {steps.map((step) => (
            <StepRow key={step.run} step={step} onShow={onShow} />
          ))}
        </Table.Body>
      </Table.Root>
    </Box>
  );
}

function StepRow({ step, onShow }: { step: Step; onShow: (job: string) => void }) {
  const { AirflowLink, zone } = useHost();
  const path = airflowPathOf(step);
  const dagPath = airflowPathOf({ ...step, dag_run: null });
  const backend = platformOf(step.backend);
  return (
    <Table.Row>
      <Table.Cell whiteSpace="nowrap">
        <TextButton title={step.name} onClick={() => onShow(step.job)}>
          {stepTitle(step.name, step.dag)}
        </TextButton>
      </Table.Cell>
      <Table.Cell>
        <StateBadge state={step.state} />
        {step.reason === null ? null : (
          <Text fontSize="xs" color="fg.muted" maxW="2xs" truncate title={step.reason}>
            {step.reason}
          </Text>
        )}
      </Table.Cell>
      <Table.Cell whiteSpace="nowrap">
        <HStack gap={2} title={step.image ?? ""}>
          <PlatformIcon platform={backend} />
          <Text>{backend === "other" ? (step.backend ?? "") : PLATFORM_WORDS[backend]}</Text>
          <Text color="fg.muted">{[step.stack, step.target].filter(Boolean).join(" / ")}</Text>
        </HStack>
      </Table.Cell>
      <Table.Cell>{dagPath === null ? "" : <AirflowLink path={dagPath}>{step.dag}</AirflowLink>}</Table.Cell>
      <Table.Cell>
        <Box maxW="3xs" truncate title={step.dag_run ?? ""}>
          {path === null || step.dag_run === null ? (
            ""
          ) : (
            <AirflowLink path={path}>{step.dag_run}</AirflowLink>
          )}
        </Box>
      </Table.Cell>
      <Table.Cell whiteSpace="nowrap">
        {step.try ?? ""}
        {step.attempt === null ? "" : ` / ${step.attempt}`}
      </Table.Cell>
      <Table.Cell whiteSpace="nowrap">{moment(step.started, zone())}</Table.Cell>
      <Table.Cell whiteSpace="nowrap">{duration(step.seconds)}</Table.Cell>
      <Table.Cell>{step.gpu_hours === null ? "" : step.gpu_hours.toFixed(2)}</Table.Cell>
      <Table.Cell whiteSpace="nowrap">{step.cost === null ? "" : money(step.cost)}</Table.Cell>
      <Table.Cell whiteSpace="nowrap">
        {step.url === null ? "" : <OutwardLink address={step.url}>job</OutwardLink>}
      </Table.Cell>
    </Table.Row>
  );
}

function SortButton(props: {
  column: ColumnKey;
  word: string;
  sorting: Sorting | null;
  onSort: RowsProps["onSort"];
}) {
  const { column, word, sorting, onSort } = props;
  const mine = sorting?.column === column ? sorting : null;
  const next = mine === null ? { column, down: true } : mine.down ? { column, down: false } : null;
  return (
    <chakra.button
      type="button"
      cursor="pointer"
      fontWeight="inherit"
      title="Sorts this page"
      onClick={() => onSort(next)}
    >
      {word} {mine === null ? "" : mine.down ? "↓" : "↑"}
    </chakra.button>
  );
}

function ariaSort(key: ColumnKey, sorting: Sorting | null): "ascending" | "descending" | "none" {
  if (sorting?.column !== key) return "none";
  return sorting.down ? "descending" : "ascending";
}

interface ChoiceProps {
  readonly label: string;
  readonly options: readonly (readonly [string, string])[];
  readonly value: string;
  readonly onChange: (value: string) => void;
}

function Choice({ label, options, value, onChange }: ChoiceProps) {
  return (
    <NativeSelect.Root size="sm" width="44">
      <NativeSelect.Field
        aria-label={label}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
      >
        {options.map(([key, word]) => (
          <option key={key} value={key}>
            {word}
          </option>
        ))}
      </NativeSelect.Field>
      <NativeSelect.Indicator />
    </NativeSelect.Root>
  );
}

function Words({ label, value, onChange }: Omit<ChoiceProps, "options">) {
  return (
    <Input
      size="sm"
      width="44"
      aria-label={label}
      placeholder={label}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
