/** Numbers, times and sizes as a person reads them. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min ${whole % MINUTE} s`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)} h ${Math.floor((whole % HOUR) / MINUTE)} min`;
  return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
}

export function between(started: string | null, ended: string | null): number | null {
  return started === null || ended === null ? null : (Date.parse(ended) - Date.parse(started)) / 1000;
}

/** @param zone an IANA name; Airflow's reader chooses one. */
export function moment(iso: string | null, zone: string): string {
  if (iso === null || Number.isNaN(Date.parse(iso))) return "";
  const parts = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: zone });
  return parts.format(new Date(iso));
}

export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [count, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function number(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return Math.abs(value) >= 0.001 && Math.abs(value) < 1e6
    ? String(Number(value.toPrecision(6)))
    : value.toExponential(3);
}

export function money({
  amount,
  currency,
  estimated,
}: {
  amount: number;
  currency: string;
  estimated: boolean;
}): string {
  return `${estimated ? "≈ " : ""}${amount.toFixed(amount < 0.1 ? 4 : 2)} ${currency}`;
}
