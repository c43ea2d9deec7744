/** The pieces that the panel is made of. */

import { Badge, Box, Heading, Link, Table, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { Row } from "../facets";
import { webAddress } from "../links";
import { lookOf } from "../states";

export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Box as="section" py={3} borderTopWidth="1px">
      <Heading as="h3" size="sm" mb={2}>
        {title}
      </Heading>
      {children}
    </Box>
  );
}

export function StateBadge({ state }: { state: string | null }) {
  const look = lookOf(state);
  if (look === null) return null;
  return (
    <Badge size="sm" bg={`${look.palette}.solid`} color={`${look.palette}.contrast`}>
      {look.word}
    </Badge>
  );
}

/** @param given names that somebody gave, and that stay as they are. */
export function Rows({ rows, given = false }: { rows: readonly Row[]; given?: boolean }) {
  if (rows.length === 0) return null;
  return (
    <Table.Root size="sm">
      <Table.Body>
        {rows.map(({ name, value }) => (
          <Table.Row key={name} bg="transparent">
            <Table.Cell
              {...(given ? {} : { className: "mlx-label" })}
              color="fg.muted"
              py={1}
              ps={0}
              verticalAlign="top"
              whiteSpace="nowrap"
            >
              {name}
            </Table.Cell>
            <Table.Cell py={1} pe={0} wordBreak="break-word">
              {value}
            </Table.Cell>
          </Table.Row>
        ))}
      </Table.Body>
    </Table.Root>
  );
}

/** A link that leads out of Airflow, or its text where the address may be none. */
export function OutwardLink({ address, children }: { address: unknown; children: ReactNode }) {
  const href = webAddress(address);
  if (href === null) return <>{children}</>;
  return (
    <Link href={href} target="_blank" rel="noopener noreferrer" color="fg.info" wordBreak="break-word">
      {children} ↗
    </Link>
  );
}

/** What looks like a link, and stays on the page. */
export function TextButton(props: { onClick: () => void; title?: string; children: ReactNode }) {
  return (
    <Link asChild color="fg.info" textAlign="start" overflowWrap="anywhere">
      <button type="button" {...props} />
    </Link>
  );
}

export function Quiet({ children }: { children: ReactNode }) {
  return (
    <Text fontSize="sm" color="fg.muted">
      {children}
    </Text>
  );
}
