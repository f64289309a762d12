// The list of notifications for React. It brings no style of its own: `notifications.css` beside it has one to begin with.

import { safeAddress } from "./links.js";

/** The component, for a React and its hook. */
export function notificationList(React, useNotifications) {
  const { createElement: h, useId } = React;

  function NotificationList({ userId, limit = Infinity, title = "Notifications", empty = "Nothing new.", renderItem = null, className = "" }) {
    const inbox = useNotifications(userId);
    const { notifications, unreadCount, loading, connection, problem, markAsRead, markAllAsRead } = inbox;
    const id = useId();
    // That a mark was not taken is seen: what it was for stays unread.
    const mark = (notificationId) => void markAsRead(notificationId).catch(ignored);
    const shown = notifications.slice(0, limit);
    return h(
      "section",
      { className: `millrace-notifications ${className}`.trim(), "aria-labelledby": id, "aria-busy": loading },
      h(
        "header",
        null,
        h("h3", { id }, title),
        h("span", { className: "count", "data-count": unreadCount, "aria-label": `${unreadCount} unread` }, unreadCount > 99 ? "99+" : unreadCount),
        connection === "waiting" ? h("span", { className: "connection" }, "Reconnecting…") : null,
        h(
          "button",
          { type: "button", className: "all", disabled: unreadCount === 0, onClick: () => void markAllAsRead().catch(ignored) },
          "Mark all as read",
        ),
      ),
      problem ? h("p", { className: "problem", role: "alert" }, problem.message) : null,
      h(
        "ul",
        { "aria-live": "polite", "aria-relevant": "additions" },
        shown.map((one) =>
          h(
            "li",
            { key: one.id, "data-id": one.id, "data-type": one.type ?? "info", "data-read": one.read ? "" : undefined },
            renderItem ? renderItem(one, () => mark(one.id)) : item(one, () => mark(one.id)),
          ),
        ),
      ),
      shown.length || loading ? null : h("p", { className: "empty" }, empty),
    );
  }

  function item({ title, message, timestamp, read, actionUrl, actionLabel }, markRead) {
    const address = safeAddress(actionUrl);
    return h(
      React.Fragment,
      null,
      h("div", { className: "title" }, read ? null : h("span", { className: "spoken" }, "Unread: "), title),
      h("time", { dateTime: timestamp.toISOString() }, timestamp.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })),
      message ? h("p", { className: "message" }, message) : null,
      address ? h("a", { href: address, onClick: markRead }, actionLabel || "Open") : null,
      read ? null : h("button", { type: "button", className: "read", onClick: markRead }, "Mark as read"),
    );
  }

  return NotificationList;
}

function ignored() {}
