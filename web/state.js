// What a progress and an inbox are after a message of their feeds; nothing here knows of a page.

const MOST_SHOWN = 100;

/** An inbox of which nothing is known. */
export const EMPTY = Object.freeze({ notifications: Object.freeze([]), unread: 0 });

/** A progress after a message; the same one where it changes nothing. */
export function progressAfter(known, message) {
  if (message.event !== "progress.update") return known;
  const told = message.data;
  if (message.transient && known && !isAhead(told, known)) return known;
  if (message.snapshot) return told;
  const after = merged(known, told);
  return message.eventtype === "progress.stalled" ? after : { ...after, stalled_at: null };
}

/** The stages as they stand: updates name the current one, and those before it are completed. */
export function stagesOf(progress) {
  const stages = progress?.stages ?? [];
  const current = stages.findIndex(({ name }) => name === progress.stage);
  return stages.map((stage, index) => {
    if (progress.status === "completed" || (current >= 0 && index < current)) {
      return { ...stage, status: "completed", progress: 100 };
    }
    if (index !== current) return { ...stage, status: current < 0 ? stage.status : "pending" };
    const ended = progress.status === "failed" || progress.status === "cancelled";
    const percent = progress.stage_progress ?? stage.progress;
    return { ...stage, status: ended ? progress.status : percent === 100 ? "completed" : "processing", progress: percent };
  });
}

/** An inbox after a message; null where only the service knows, so that it has to be asked for the unread ones. */
export function inboxAfter(inbox, { event, data }) {
  switch (event) {
    case "notifications.unread":
      return { notifications: data.notifications, unread: data.unread };
    case "notification.created":
      // The list of unread ones may have had it already.
      if (inbox.notifications.some(({ id }) => id === data.id)) return inbox;
      return { notifications: [data, ...inbox.notifications].slice(0, MOST_SHOWN), unread: inbox.unread + 1 };
    case "notification.read":
      return changed(inbox, data.id, (one) => [{ ...one, read: true }]);
    case "notification.all_read":
      return { notifications: inbox.notifications.map((one) => ({ ...one, read: true })), unread: 0 };
    case "notification.cancelled":
    case "notification.removed":
    case "notification.snoozed":
      return changed(inbox, data.id, () => []);
    case "notification.woken":
      return null;
    default:
      return inbox;
  }
}

/** Whether an unrecorded update leads further than what is known; a late one does not. */
function isAhead(told, known) {
  if (known.status !== "pending" && known.status !== "processing") return false;
  return told.progress >= known.progress;
}

/** What is known after an update. What was shown of a sample stays, where a recorded update of before comes after it. */
function merged(known, told) {
  const whole = { ...known, ...told };
  if (known && told.status === "processing" && known.status === "processing" && told.progress < known.progress) {
    return { ...whole, progress: known.progress, stage: known.stage, stage_progress: known.stage_progress };
  }
  return whole;
}

/** The inbox with other notifications in the place of one. */
function changed(inbox, id, instead) {
  const known = inbox.notifications.find((one) => one.id === id);
  // One that is not shown may have been unread; where nothing is unread, it was not.
  if (!known) return inbox.unread > 0 ? null : inbox;
  return {
    notifications: inbox.notifications.flatMap((one) => (one === known ? instead(one) : [one])),
    unread: known.read ? inbox.unread : Math.max(0, inbox.unread - 1),
  };
}
