/**
 * An address that may become a link: http and https only, so that no name from outside runs as code.
 *
 * @returns null for anything else.
 */
export function webAddress(given: unknown): string | null {
  if (typeof given !== "string") return null;
  try {
    const url = new URL(given);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
