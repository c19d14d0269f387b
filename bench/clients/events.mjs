/**
 * The events of the comparison of client libraries: their numbers count up from that of the first,
 * and nothing else of them changes. Runs everywhere.
 */

/** A function that publishes the next `size` events, and resolves when it may be called again. */
export function publisherOf(client, { event, attributes: first }, size) {
  let { seq } = first;
  return async () => {
    const end = seq + size;
    for (; seq < end; seq++) client.publish(event, { ...first, seq });
    await client.flush();
  };
}

/**
 * A function that is given every event. It throws at one that is not the next or not what was sent,
 * and calls `onBatch` after every `size` events.
 */
export function checkerOf({ event, attributes: first }, size, onBatch) {
  const members = Object.keys(first).length;
  const { user, content } = first;
  let { seq } = first;
  let unreported = 0;
  return (name, attributes) => {
    if (
      name !== event || attributes.seq !== seq || attributes.user !== user ||
      attributes.content !== content || Object.keys(attributes).length !== members
    ) {
      throw new Error(`Received ${name} ${JSON.stringify(attributes)}, not event ${seq}`);
    }
    seq++;
    if (++unreported === size) {
      unreported = 0;
      onBatch();
    }
  };
}
