/** Questions and answers over AMQP by direct reply-to, on a connection that is made when it is needed. */

import amqp from 'amqplib';

/** The answers come to the channel that asked; the broker makes no queue for them. */
const REPLIES = 'amq.rabbitmq.reply-to';
const CONNECT_SECONDS = 5;
const HEARTBEAT_SECONDS = 10;

/**
 * Thrown when no answer came: what was asked may or may not have been done. Ask again, with the same id.
 */
export class Unanswered extends Error {
  name = 'Unanswered';
}

/** Thrown when something is asked after `close`. */
export class Closed extends Error {
  name = 'Closed';
}

/**
 * @typedef {object} Question
 * @property {string} exchange
 * @property {string} key routing key
 * @property {string} body JSON
 * @property {string} id the message id
 * @property {number} seconds how long to wait for the answer
 * @property {number} [expires] seconds after which the broker drops it if nobody has taken it; for ever if left out
 * @property {boolean} [persistent] whether the broker writes it to disk
 * @property {Record<string, string>} [headers]
 */

/** @typedef {{resolve: (reply: any) => void, reject: (error: Error) => void}} Waiting */

/** One connection with one channel, until either is lost. */
class Session {
  /** @type {Map<string, Waiting>} by correlation id */
  #waiting = new Map();
  #asked = 0;
  /** @type {Error | undefined} */
  lost;

  /** @param {amqp.ChannelModel} connection @param {amqp.Channel} channel */
  constructor(connection, channel) {
    this.connection = connection;
    this.channel = channel;
    // Losing the channel is rare enough to begin again with everything.
    for (const each of [connection, channel]) {
      each.on('error', (error) => this.end(error));
      each.on('close', () => this.end(new Error('closed')));
    }
    channel.on('return', ({ properties }) => {
      this.#settle(properties.correlationId)?.reject(new Unanswered('nobody takes it: is the service running?'));
    });
  }

  /** @param {string} url */
  static async open(url) {
    const connection = await amqp.connect(url, { timeout: CONNECT_SECONDS * 1000, noDelay: true });
    // An 'error' event that nobody listens to ends the process; the session is not there yet.
    connection.on('error', () => {});
    try {
      const session = new Session(connection, await connection.createChannel());
      await session.channel.consume(REPLIES, (message) => session.#take(message), { noAck: true });
      return session;
    } catch (error) {
      connection.close().catch(() => {});
      throw error;
    }
  }

  /** @param {Question} question @returns {Promise<any>} */
  ask({ exchange, key, body, id, seconds, expires, persistent = false, headers = {} }) {
    // Not the message id: the same question may be asked twice at a time.
    const correlationId = String(++this.#asked);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#settle(correlationId)?.reject(new Unanswered(`no answer to ${key} within ${seconds} s`));
      }, seconds * 1000);
      this.#waiting.set(correlationId, {
        resolve: (reply) => (clearTimeout(timer), resolve(reply)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
      try {
        this.channel.publish(exchange, key, Buffer.from(body), {
          messageId: id,
          correlationId,
          replyTo: REPLIES,
          contentType: 'application/json',
          mandatory: true,
          persistent,
          headers,
          ...(expires === undefined ? {} : { expiration: Math.ceil(expires * 1000) }),
        });
      } catch (error) {
        // The channel is lost, or the question cannot be sent at all: then it must not be repeated.
        if (error instanceof amqp.IllegalOperationError) this.end(error);
        else this.#settle(correlationId)?.reject(/** @type {Error} */ (error));
      }
    });
  }

  /** @param {Error} reason */
  end(reason) {
    if (this.lost) return;
    this.lost = reason;
    this.connection.close().catch(() => {}); // it is closed already, or will never answer
    for (const id of [...this.#waiting.keys()]) {
      this.#settle(id)?.reject(new Unanswered(`the connection to the broker was lost: ${reason.message}`));
    }
  }

  /** @param {amqp.ConsumeMessage | null} message */
  #take(message) {
    if (message === null) return this.end(new Error('the broker has cancelled the replies'));
    const waiting = this.#settle(message.properties.correlationId);
    try {
      waiting?.resolve(JSON.parse(message.content.toString()));
    } catch (error) {
      waiting?.reject(new Unanswered(`the answer is not JSON: ${error}`));
    }
  }

  /** @param {string} id */
  #settle(id) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}

export class Connection {
  #url;
  #closed = false;
  #trouble = '';
  /** @type {Promise<Session> | undefined} */
  #session;

  /** @param {string} url `amqp://` or `amqps://` */
  constructor(url) {
    const address = new URL(url);
    if (!['amqp:', 'amqps:'].includes(address.protocol)) throw new TypeError(`not the address of a broker: ${url}`);
    if (!address.searchParams.has('heartbeat')) address.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
    this.#url = address.href;
  }

  /**
   * Sends once and waits for the answer.
   *
   * @param {Question} question
   * @returns {Promise<any>}
   * @throws {Unanswered} within about `seconds`
   * @throws {Closed}
   */
  async ask(question) {
    for (;;) {
      if (this.#closed) throw new Closed('the connection was closed');
      const opening = (this.#session ??= Session.open(this.#url));
      const session = await opening.catch((error) => {
        this.#forget(opening, `the broker cannot be reached: ${error.message}`);
        throw new Unanswered(this.#trouble);
      });
      if (!session.lost) {
        this.#trouble = '';
        return session.ask(question);
      }
      this.#forget(opening, `the connection to the broker was lost: ${session.lost.message}`);
    }
  }

  async close() {
    this.#closed = true;
    const session = await this.#session?.catch(() => undefined);
    session?.end(new Error('closed by us'));
  }

  /** The next question tries anew. @param {Promise<Session>} opening @param {string} trouble */
  #forget(opening, trouble) {
    if (this.#session === opening) this.#session = undefined;
    if (this.#trouble !== trouble) console.error(`${trouble}; trying again`);
    this.#trouble = trouble;
  }
}
