// The types of react.js.

import type * as React from "react";
import type { ClientOptions, Notification, NotificationsView, ProgressView } from "./client.js";

export type { NotificationsView, ProgressView } from "./client.js";

export interface MillraceOptions extends Omit<ClientOptions, "path"> {
  /** Whose notifications `useNotifications` and `NotificationList` show where they are not told. */
  userId?: string;
  /** Of the feeds, where the configuration has moved them. */
  progressPath?: string;
  notificationsPath?: string;
}

export interface MillraceProviderProps extends MillraceOptions {
  children?: React.ReactNode;
}

export interface NotificationListProps {
  /** Whose; default the provider's. */
  userId?: string;
  /** How many at most; default all that are known, the newest 100. */
  limit?: number;
  title?: React.ReactNode;
  /** What stands there where there is no notification. */
  empty?: React.ReactNode;
  /** Makes the content of an item, in the place of the usual one. */
  renderItem?: ((notification: Notification, markRead: () => void) => React.ReactNode) | null;
  className?: string;
}

export interface Bindings {
  /** Says for all below it where the service is and whose page it is; what it does not say is as `bindings` was told. */
  MillraceProvider(props: MillraceProviderProps): React.ReactElement;
  NotificationList(props: NotificationListProps): React.ReactElement;
  /** Follows a user's inbox as long as the component is mounted. Throws where nobody has said whose. */
  useNotifications(userId?: string): NotificationsView;
  /** Follows a progress as long as the component is mounted; nothing where there is no id yet. */
  useProgress(progressId: string | null | undefined): ProgressView;
}

/** What bindings need of a React, 18 or later. */
export type ReactLike = Pick<
  typeof React,
  | "createContext"
  | "createElement"
  | "Fragment"
  | "useCallback"
  | "useContext"
  | "useEffect"
  | "useId"
  | "useMemo"
  | "useRef"
  | "useSyncExternalStore"
>;

/** The hooks and components for a React; the options hold wherever no `MillraceProvider` says otherwise. */
export function bindings(react: ReactLike, options?: MillraceOptions): Bindings;
