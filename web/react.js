// Progress and notifications for React: hooks and a list. React is the application's own, and passed in, so that there is no
// second one and no build step is needed: `const { useProgress } = bindings(React)`.

import { NotificationService, ProgressTracker } from "./client.js";
import { UNFOLLOWED as NO_INBOX } from "./inbox-feed.js";
import { UNFOLLOWED as NO_PROGRESS } from "./progress-feed.js";
import { notificationList } from "./react-list.js";

const nothing = () => {};

/** The hooks and components for a React; `options` hold wherever no `MillraceProvider` says otherwise. */
export function bindings(React, options = {}) {
  const { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useSyncExternalStore } = React;
  const Connection = createContext(connectionOf(options));

  function MillraceProvider({ children, ...given }) {
    const { base, apiKey, tenant, userId, progressPath, notificationsPath, ticket } = { ...options, ...given };
    // A function that is made anew on each rendering is no reason for a new connection; the newest one is asked.
    const newest = useRef(ticket);
    useEffect(() => {
      newest.current = ticket;
    });
    const hasTicket = Boolean(ticket);
    const value = useMemo(() => {
      const asked = hasTicket ? (about) => newest.current(about) : null;
      return connectionOf({ base, apiKey, tenant, userId, progressPath, notificationsPath, ticket: asked });
    }, [base, apiKey, tenant, userId, progressPath, notificationsPath, hasTicket]);
    return createElement(Connection.Provider, { value }, children);
  }

  function useProgress(progressId) {
    const { tracker } = useContext(Connection);
    const follow = useCallback(
      (listener) => (progressId ? tracker.follow(progressId, listener) : nothing),
      [tracker, progressId],
    );
    const view = useSyncExternalStore(
      follow,
      () => (progressId ? tracker.view(progressId) : NO_PROGRESS),
      () => NO_PROGRESS,
    );
    // Until it is followed nobody knows it, but for its id.
    return useMemo(() => (progressId ? { ...view, id: progressId } : view), [view, progressId]);
  }

  function useNotifications(givenId) {
    const { service, userId: usualId } = useContext(Connection);
    const userId = givenId ?? usualId;
    if (!userId) {
      throw new Error(
        "useNotifications does not know whose notifications are meant: give bindings() or MillraceProvider a userId, or pass one",
      );
    }
    const follow = useCallback((listener) => service.follow(userId, listener), [service, userId]);
    return useSyncExternalStore(follow, () => service.view(userId), () => NO_INBOX);
  }

  return { MillraceProvider, NotificationList: notificationList(React, useNotifications), useNotifications, useProgress };
}

/** The clients that share one connection for each feed. None is opened before something is followed. */
function connectionOf({ userId, progressPath = "", notificationsPath = "", ...options }) {
  return {
    userId,
    tracker: new ProgressTracker({ ...options, path: progressPath }),
    service: new NotificationService({ ...options, path: notificationsPath }),
  };
}
