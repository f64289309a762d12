// The types of client.js.

export interface ClientOptions {
  /** The service's address; default the page's own. */
  base?: string;
  /** Of the WebSocket, where the configuration has moved it. */
  path?: string;
  apiKey?: string;
  tenant?: string;
  /** Fetches a ticket for each WebSocket, where the page has no key; it is told what the ticket is to show. */
  ticket?: ((about: { progressId?: string; userId?: string }) => Promise<string>) | null;
}

export class MillraceError extends Error {
  /** Of the HTTP answer; 0 where there was none. */
  readonly status: number;
  readonly code: string;
  readonly errors: { loc: string[]; msg: string; type: string }[];
  /** Milliseconds. */
  readonly retryAfter: number | null;
}

export type ProgressStatus = "pending" | "processing" | "completed" | "failed" | "cancelled";

export interface ProgressStage {
  name: string;
  /** How much of the whole it is, beside the other stages. */
  weight?: number;
  status: ProgressStatus;
  progress: number;
  startedAt?: Date;
  completedAt?: Date;
}

export interface ProgressError {
  message: string;
  type?: string;
  [more: string]: any;
}

export interface Progress {
  id: string;
  status: ProgressStatus;
  /** 0 to 100. */
  progress: number;
  stage?: string;
  stageProgress?: number;
  stages?: ProgressStage[];
  error?: ProgressError;
  result?: any;
  metadata: Record<string, any>;
  userId?: string;
  /** Milliseconds that it will take, where that can be told. */
  eta?: number;
  /** Since when nothing was heard of it. */
  stalledAt?: Date;
  createdAt: Date;
  updatedAt: Date;
  completedAt?: Date;
}

/** How things stand with the connection: `waiting` is that it was lost, and comes back by itself. */
export type Connection = "connecting" | "live" | "waiting";

/** A progress as it is known now. Before anything is known it is one that has not begun. Never changed: another takes its place. */
export interface ProgressView extends Readonly<Partial<Omit<Progress, "progress" | "status" | "stages" | "metadata">>> {
  readonly progress: number;
  readonly status: ProgressStatus;
  readonly stages: readonly ProgressStage[];
  readonly metadata: Readonly<Record<string, any>>;
  /** Whether the service knows it; false also while that is being asked. */
  readonly exists: boolean;
  /** Whether the first answer is still awaited. */
  readonly loading: boolean;
  readonly connection: Connection;
  /** Why the service does not tell. */
  readonly problem: MillraceError | null;
}

export interface ProgressUpdate extends Progress {
  outcome?: "recorded" | "sampled";
}

export interface ProgressOptions {
  id?: string;
  stages?: string[];
  metadata?: Record<string, any>;
  userId?: string;
}

export class ProgressTracker {
  constructor(options?: ClientOptions);
  create(options?: ProgressOptions): Promise<Progress>;
  update(id: string, progress: number, stage?: string): Promise<ProgressUpdate>;
  complete(id: string, result?: any): Promise<Progress>;
  fail(id: string, error: Error | string): Promise<Progress>;
  get(id: string): Promise<Progress>;
  /** Shows what it is, and then every update, until what is returned is called. All share one connection. */
  subscribe(id: string, callback: (progress: Progress) => void): () => void;
  /** What is known of a progress that is followed: the same object until something changes. */
  view(id: string): ProgressView;
  /** Tells of every change of the view, until what is returned is called. */
  follow(id: string, listener: () => void): () => void;
}

export type NotificationType = "info" | "success" | "warning" | "error";
export type NotificationChannel = "in-app" | "email" | "push" | "sms" | "webhook";

export interface Notification {
  /** Of the service, as are `timestamp` and `read`. */
  id: string;
  type: NotificationType;
  title: string;
  message: string;
  timestamp: Date;
  read: boolean;
  userId: string;
  category?: string;
  actionUrl?: string;
  actionLabel?: string;
  metadata?: Record<string, any>;
  channels?: NotificationChannel[];
}

/** What is said to send one. */
export interface NewNotification extends Partial<Omit<Notification, "userId">> {
  userId: string;
  template?: string;
  context?: Record<string, any>;
  critical?: boolean;
}

export interface NotificationFilters {
  unreadOnly?: boolean;
  type?: NotificationType;
  category?: string;
  limit?: number;
}

export interface QuietHours {
  /** HH:MM. */
  start: string;
  end: string;
  timezone?: string;
}

export interface NotificationPreferences {
  channels?: NotificationChannel[];
  categories?: Record<string, boolean>;
  quietHours?: QuietHours;
  matrix?: Record<string, Record<string, boolean>>;
}

/** An inbox as it is known now. Never changed: another takes its place. */
export interface NotificationsView {
  /** The newest first, 100 at most. */
  readonly notifications: readonly Notification[];
  /** Of all, also of those that are not shown. */
  readonly unreadCount: number;
  /** Whether the first answer is still awaited. */
  readonly loading: boolean;
  readonly connection: Connection;
  /** Why the service does not tell. */
  readonly problem: MillraceError | null;
  /** On all devices. Refused where there is no connection. */
  readonly markAsRead: (notificationId: string) => Promise<void>;
  readonly markAllAsRead: () => Promise<void>;
}

export class NotificationService {
  constructor(options?: ClientOptions);
  /** The id of the notification. */
  send(notification: NewNotification): Promise<string>;
  /** The ids, in order; throws the first refusal, after the others were sent. */
  sendBulk(notifications: NewNotification[]): Promise<string[]>;
  markAsRead(notificationId: string, userId: string): Promise<void>;
  markAllAsRead(userId: string): Promise<void>;
  getUserNotifications(userId: string, filters?: NotificationFilters): Promise<Notification[]>;
  unreadCount(userId: string): Promise<number>;
  setPreferences(userId: string, preferences: NotificationPreferences): Promise<void>;
  /** Tells of each new one, those too that came while the connection was lost, until what is returned is called. */
  subscribe(userId: string, callback: (notification: Notification) => void): () => void;
  /** What is known of an inbox that is followed: the same object until something changes. */
  view(userId: string): NotificationsView;
  /** Tells of every change of the view, until what is returned is called. */
  follow(userId: string, listener: () => void): () => void;
}

export function fromWire(value: any): any;
export function toWire(value: any): any;
