/*
 * The clients of a busy room: each sends events on time, whether or not earlier ones have arrived,
 * and gets those of all. Knows no protocol: whoever starts it joins through its sockets, and hands
 * over the bytes of every event. Each delivery is compared with them, and timed.
 *
 * Usage: room_driver PORT    Commands come by standard input; room_driver.ts describes them.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 262144, JOIN_BYTES = 4096, MAX_EVENTS = 256, STALL_MS = 10000 };
enum { BILLION = 1000000000 };

/* The timer's number among those of the connections. */
static const uint32_t TIMER = UINT32_MAX;

struct connection {
  int fd;
  /* The beginning of a frame. */
  uint32_t held;
  char *tail;
};

/* What is sent and received. The first `clients` connections receive. */
struct plan {
  uint32_t clients, events, published_bytes, delivered_bytes, mark_at, mark_digits, ack_bytes,
      farewell_bytes;
};

static int port, epoll_fd, timer_fd;
static struct connection *connections;
static uint32_t connection_count;

static struct plan plan;
/* The connection through which each client sends. */
static uint32_t *senders;
/* Event after event; the clients take turns. */
static char *published, *delivered, *ack, *farewell;
/* How many events of a sender a client has got: by sender, then client, as an event reaches one client
 * after the other. */
static uint32_t *received;

/* The round: the number of its first event, of the next, and of the one after its last. */
static uint32_t first, next, last;
static uint64_t start, step;
static float *latencies, *lateness;
static uint64_t arrived, acks;

static char chunk[READ_BYTES];

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  exit(1);
}

static void check(int works, const char *what) {
  if (!works) fail("%s: %s", what, strerror(errno));
}

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  check(memory != NULL, "calloc");
  return memory;
}

static uint64_t clock_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * BILLION + now.tv_nsec;
}

/* Reads from standard input; the end of that is the end of all. */
static void take(void *to, size_t bytes) {
  if (bytes && fread(to, bytes, 1, stdin) != 1) exit(0);
}

static uint32_t take_number(void) {
  uint32_t number;
  take(&number, sizeof number);
  return number;
}

static char *take_bytes(size_t bytes) {
  char *memory = allocate(bytes, 1);
  take(memory, bytes);
  return memory;
}

static void say(const void *bytes, size_t length) {
  if (length && fwrite(bytes, length, 1, stdout) != 1) exit(0);
}

/* Ends an answer that has a single byte. */
static void say_done(void) {
  say(".", 1);
}

static void open_connection(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(fd >= 0, "socket");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(!connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connections = realloc(connections, (connection_count + 1) * sizeof *connections);
  check(connections != NULL, "realloc");
  connections[connection_count++] = (struct connection){.fd = fd};
  say_done();
}

static void join_write(void) {
  int fd = connections[take_number()].fd;
  size_t length = take_number();
  char *bytes = take_bytes(length);
  check(send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length, "send");
  free(bytes);
  say_done();
}

static void join_read(void) {
  int fd = connections[take_number()].fd;
  struct pollfd readable = {.fd = fd, .events = POLLIN};
  if (poll(&readable, 1, STALL_MS) != 1) fail("The server has not answered");
  ssize_t length = recv(fd, chunk, JOIN_BYTES, 0);
  check(length >= 0, "recv");
  uint32_t number = length;
  say(&number, sizeof number);
  say(chunk, length);
}

static void load(void) {
  take(&plan, sizeof plan);
  size_t events = plan.events;
  senders = (uint32_t *)take_bytes(plan.clients * sizeof *senders);
  ack = take_bytes(plan.ack_bytes);
  farewell = take_bytes(plan.farewell_bytes);
  published = take_bytes(events * plan.published_bytes);
  delivered = take_bytes(events * plan.delivered_bytes);
  received = allocate((size_t)plan.clients * plan.clients, sizeof *received);
  latencies = allocate(events * plan.clients, sizeof *latencies);
  lateness = allocate(events, sizeof *lateness);
  for (uint32_t i = 0; i < connection_count; i++) {
    connections[i].tail = allocate(i < plan.clients ? plan.delivered_bytes : plan.ack_bytes, 1);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    check(!epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connections[i].fd, &event), "epoll_ctl");
  }
  say_done();
}

static uint64_t due(uint32_t event) {
  return start + (event - first) * step;
}

/* Who has sent a frame. Digits that are none make a number that is no client's, or the wrong one. */
static uint32_t sender_of(const char *frame) {
  uint32_t sender = 0;
  for (uint32_t i = 0; i < plan.mark_digits; i++) sender = 10 * sender + frame[plan.mark_at + i] - '0';
  return sender;
}

static void refuse(uint32_t client, const char *frame) {
  char excerpt[201];
  uint32_t length = plan.delivered_bytes < 200 ? plan.delivered_bytes : 200;
  for (uint32_t i = 0; i < length; i++) excerpt[i] = frame[i] < ' ' || frame[i] > '~' ? '?' : frame[i];
  excerpt[length] = 0;
  fail("Client %u received what is not the next event of any client: %s", client, excerpt);
}

static void deliver(uint32_t client, const char *frame, uint64_t now) {
  uint32_t sender = sender_of(frame);
  if (sender >= plan.clients) refuse(client, frame);
  uint32_t *count = &received[(size_t)sender * plan.clients + client];
  uint32_t event = *count * plan.clients + sender;
  const char *expected = delivered + (size_t)event * plan.delivered_bytes;
  if (event >= next || memcmp(frame, expected, plan.delivered_bytes)) refuse(client, frame);
  ++*count;
  latencies[arrived++] = (now - due(event)) / 1e3f;
}

static void acknowledge(uint32_t number, const char *frame) {
  if (acks >= next || memcmp(frame, ack, plan.ack_bytes)) {
    fail("Connection %u received a wrong acknowledgement", number);
  }
  acks++;
}

/* Reads once, and checks the frames that are complete now; returns the time, or 0 at the end. */
static uint64_t receive(uint32_t number) {
  struct connection *connection = &connections[number];
  uint32_t held = connection->held;
  ssize_t length = recv(connection->fd, chunk + held, sizeof chunk - held, MSG_DONTWAIT);
  uint64_t now = clock_now();
  if (length < 0 && errno == EAGAIN) return now;
  check(length >= 0, "recv");
  if (length == 0) {
    if (held && (held != plan.farewell_bytes || memcmp(connection->tail, farewell, held))) {
      fail("Connection %u received something else before its end", number);
    }
    return 0;
  }
  memcpy(chunk, connection->tail, held);
  int is_client = number < plan.clients;
  size_t size = is_client ? plan.delivered_bytes : plan.ack_bytes;
  if (size == 0) fail("Connection %u received an acknowledgement", number);
  const char *frame = chunk, *end = chunk + held + length;
  for (; (size_t)(end - frame) >= size; frame += size) {
    if (is_client) deliver(number, frame, now);
    else acknowledge(number, frame);
  }
  connection->held = end - frame;
  memcpy(connection->tail, frame, connection->held);
  return now;
}

static void publish(uint32_t event) {
  lateness[event - first] = (clock_now() - due(event)) / 1e3f;
  int fd = connections[senders[event % plan.clients]].fd;
  const char *frame = published + (size_t)event * plan.published_bytes;
  ssize_t sent = send(fd, frame, plan.published_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent != (ssize_t)plan.published_bytes) fail("The server has stopped reading");
}

static void publish_due(uint64_t now) {
  while (next < last && due(next) <= now) publish(next++);
}

static void set_timer(uint64_t at, uint64_t interval) {
  struct itimerspec times = {
    .it_value = {.tv_sec = at / BILLION, .tv_nsec = at % BILLION},
    .it_interval = {.tv_sec = interval / BILLION, .tv_nsec = interval % BILLION},
  };
  check(!timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &times, NULL), "timerfd_settime");
}

static uint64_t clear_timer(void) {
  uint64_t expirations;
  check(read(timer_fd, &expirations, sizeof expirations) > 0, "read");
  return clock_now();
}

/* Waits for something to happen; returns how much that is. */
static int wait_for(struct epoll_event *happened, uint64_t missing) {
  int count = epoll_wait(epoll_fd, happened, MAX_EVENTS, STALL_MS);
  if (count == 0) fail("%llu deliveries are missing", (unsigned long long)missing);
  if (count < 0 && errno != EINTR) check(0, "epoll_wait");
  return count;
}

/* Sends a number of events in a steady pace, and waits until all clients have them. */
static void run(void) {
  first = next;
  last = first + take_number();
  step = take_number();
  if (last > plan.events) fail("Cannot send more than %u events", plan.events);
  uint64_t expected = (uint64_t)(last - first) * plan.clients;
  arrived = 0;
  start = clock_now() + step;
  set_timer(start, step);
  while (next < last || arrived < expected || (plan.ack_bytes && acks < next)) {
    struct epoll_event happened[MAX_EVENTS];
    int count = wait_for(happened, expected - arrived);
    for (int i = 0; i < count; i++) {
      uint32_t number = happened[i].data.u32;
      uint64_t now = number == TIMER ? clear_timer() : receive(number);
      if (!now) fail("The server has closed connection %u", number);
      publish_due(now);
      if (number == TIMER && next == last) set_timer(0, 0);
    }
  }
  set_timer(0, 0);
  say_done();
}

/* Tells the figures of the last round, in microseconds. */
static void tell_times(void) {
  say(latencies, arrived * sizeof *latencies);
  say(lateness, (last - first) * sizeof *lateness);
}

/* Ends every connection in order; fails if anything more comes before its end. */
static void finish(void) {
  for (uint32_t i = 0; i < connection_count; i++) shutdown(connections[i].fd, SHUT_WR);
  for (uint32_t rest = connection_count; rest > 0;) {
    struct epoll_event happened[MAX_EVENTS];
    int count = wait_for(happened, 0);
    for (int i = 0; i < count; i++) {
      uint32_t number = happened[i].data.u32;
      if (receive(number)) continue;
      close(connections[number].fd);
      rest--;
    }
  }
  say_done();
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: room_driver PORT\n"), 2;
  port = atoi(argv[1]);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = TIMER};
  check(!epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event), "epoll_ctl");
  say_done();
  for (;;) {
    fflush(stdout);
    char command;
    take(&command, 1);
    switch (command) {
      case 'c': open_connection(); break;
      case 'w': join_write(); break;
      case 'r': join_read(); break;
      case 'l': load(); break;
      case 'g': run(); break;
      case 't': tell_times(); break;
      case 'x': finish(); break;
      default: fail("Unknown command %d", command);
    }
  }
}
