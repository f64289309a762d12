// Between the words of the service and those of a page: camelCase, dates and milliseconds here, snake_case and seconds there.

// What belongs to the application keeps its names.
const OPAQUE = new Set(["metadata", "result", "context", "checkpoint", "categories", "matrix", "recipient"]);
const TIMES = new Set(["timestamp", "snoozed_until", "due_at"]);

/** Thrown where the service refuses, or cannot be reached: then the status is 0. */
export class MillraceError extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || "the service cannot be reached");
    this.name = "MillraceError";
    this.status = status;
    this.code = problem.code ?? "unavailable";
    this.errors = problem.errors ?? [];
    this.retryAfter = problem.retry_after == null ? null : problem.retry_after * 1000;
  }
}

/** Values of the service as a page has them: camelCase, and dates. */
export function fromWire(value) {
  if (Array.isArray(value)) return value.map(fromWire);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => each !== null)
      .map(([name, each]) => {
        const time = typeof each === "string" && (name.endsWith("_at") || TIMES.has(name));
        return [camel(name), OPAQUE.has(name) ? each : time ? new Date(each) : fromWire(each)];
      }),
  );
}

/** Values of a page as the service wants them. */
export function toWire(value) {
  if (Array.isArray(value)) return value.map(toWire);
  if (value === null || typeof value !== "object" || value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [snake(name), OPAQUE.has(name) ? each : toWire(each)]),
  );
}

/** A progress of the service as a page has it. */
export function progressOf(wire) {
  const { error, errorDetail, ...progress } = fromWire(wire);
  if (error !== undefined) progress.error = { message: error, ...errorDetail };
  if (progress.eta !== undefined) progress.eta *= 1000;
  return progress;
}

function camel(name) {
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}

function snake(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
