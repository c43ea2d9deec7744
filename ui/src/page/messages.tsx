/** What is said instead of an answer, and what to do next. */

import { Box, Button, Heading, Link, Spinner, Stack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { Answer } from "../host/answers";
import { type Refused, useHost } from "../host/host";

export function Message({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Stack align="center" gap={3} py={12} px={6} textAlign="center" role="status">
      <Heading size="md">{title}</Heading>
      <Stack maxW="2xl" gap={3} color="fg.muted" fontSize="sm">
        {children}
      </Stack>
    </Stack>
  );
}

export function Waiting({ what }: { what: string }) {
  return (
    <Stack align="center" py={12} role="status" aria-label={`Loading ${what}`}>
      <Spinner />
      <Text color="fg.muted" fontSize="sm">
        Loading {what}…
      </Text>
    </Stack>
  );
}

/** An answer that did not come: why, and what to do. */
export function Trouble({ error, again }: { error: Refused; again: () => void }) {
  const { login } = useHost();
  if (isNoStore(error)) return <NoStore text={error.message} />;
  if (error.status === 401)
    return (
      <Message title="Your session is over">
        {login === null ? null : (
          <Text>
            <Link href={`${login}?next=${encodeURIComponent(location.href)}`} color="fg.info">
              Log in again
            </Link>
          </Text>
        )}
      </Message>
    );
  return (
    <Message
      title={
        error.status === 0 ? "The lineage API does not answer" : `The lineage API answers ${error.status}`
      }
    >
      <Text>{error.message}</Text>
      <Box>
        <Button size="sm" variant="outline" onClick={again}>
          Try again
        </Button>
      </Box>
      {error.status >= 500 ? <Text>The API server's log says more.</Text> : null}
    </Message>
  );
}

/** Whether the API server keeps no lineage at all, which it says as text and not as JSON. */
export function isNoStore(error: Refused | null): boolean {
  return error?.plainText === true && (error.status === 404 || error.status === 501);
}

const SETTINGS = `[mlx]
lineage_store = sqlite:////var/lib/airflow/mlx-lineage.db
lineage_token = <a long random text>

[openlineage]
transport = {
    "type": "http", "url": "<this API server>", "endpoint": "mlx/lineage/api/v1/lineage",
    "timeout": 2, "auth": {"type": "api_key", "apiKey": "<the same>"}}`;

function NoStore({ text }: { text: string }) {
  return (
    <Message title="This Airflow keeps no lineage yet">
      <Text>{text}</Text>
      <Text>
        An administrator turns it on in Airflow's configuration, on the API server, and the transport where
        the scheduler and workers run, too:
      </Text>
      <Box
        as="pre"
        textAlign="start"
        fontSize="xs"
        p={4}
        borderWidth="1px"
        borderRadius="md"
        bg="bg.subtle"
        overflowX="auto"
      >
        {SETTINGS}
      </Box>
      <Text>
        SQLite is for one API server on one disk; several share a PostgreSQL. Then every DAG run tells by
        itself.
      </Text>
    </Message>
  );
}

/** An answer's value, or what stands in its place. */
export function Shown<T>(props: { answer: Answer<T>; what: string; children: (value: T) => ReactNode }) {
  const { answer, what, children } = props;
  if (answer.value !== null) return children(answer.value);
  if (answer.error !== null) return <Trouble error={answer.error} again={answer.again} />;
  return <Waiting what={what} />;
}
